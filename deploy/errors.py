"""Errors that end a command: one sentence with what to do, and an exit code.

    CommandError            exit code 1
      UsageError            exit code 2: a wrong setting, a missing file, a flag that contradicts another
      CommandFailed         exit code 1: the command was right and did not succeed

Errors of the packages below become one of them by the table `EXPECTED`.
"""

from __future__ import annotations

import sys


class CommandError(Exception):
    """The command cannot go on; the text is shown to the user as it stands."""

    exit_code = 1


class UsageError(CommandError):
    """The command cannot do what its arguments or settings name; starting it again would not help."""

    exit_code = 2


class CommandFailed(CommandError):
    """The command was used rightly and did not succeed."""


EXPECTED = (
    ("ingest.kafka.errors", "KafkaFailure", CommandFailed),
    ("ingest.store", "UnknownStore", UsageError),
    ("ingest.store", "StoreError", CommandFailed),
    ("inference.answer_sizes", "NoRoomForAnswers", CommandFailed),
    ("ingest.bank_signature", "BadKey", UsageError),
    ("ingest.view", "BadViewName", UsageError),
    ("ingest.contract", "BadMessage", CommandFailed),
    ("ingest.cameras.source", "EmptySource", UsageError),
    ("ingest.cameras.folder", "UnreadableMask", CommandFailed),
    ("ingest.cameras.video", "UnreadableVideo", UsageError),
    ("softpatch.images.folders", "NoImages", UsageError),
    ("softpatch.images.decode", "UndecodableImage", CommandFailed),
    ("softpatch.building.window", "TooFewFrames", CommandFailed),
    ("softpatch.bank", "InvalidBank", CommandFailed),
    ("softpatch.network.graph", "InvalidGraph", UsageError),
    ("softpatch.network.embed", "ProviderUnavailable", CommandFailed),
    ("trainer.window", "NewerIndex", CommandFailed),
    ("monitoring.health", "PortInUse", CommandFailed),
    ("monitoring.shifts", "BadShifts", UsageError),
    ("monitoring.console.accounts", "BadAccount", UsageError),
    ("monitoring.console.oidc", "MissingOidc", UsageError),
    ("monitoring.record.database", "BadDatabaseAddress", UsageError),
    ("monitoring.record.database", "DatabaseError", CommandFailed),
    ("monitoring.record.export", "NoParquet", UsageError),
    ("deploy.local_stack.embedded_broker", "EmbeddedBrokerError", CommandFailed),
)
"""What the packages below raise when the world is not as it should be; their texts name what to do."""


def command_error_of(error: Exception) -> CommandError | None:
    """The error to end the command with; None for a mistake in the program itself."""
    if isinstance(error, CommandError):
        return error
    for module, name, kind in EXPECTED:
        loaded = sys.modules.get(module)  # an error's module is loaded, or the error is another's
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return kind(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.filename:
        return CommandFailed(f"{error.filename}: {error.strerror}; check the path and its rights")
    return None
