"""What ends a command: one sentence that says what to do, and the exit code that goes with it."""

from __future__ import annotations

import sys


class Fault(Exception):
    """The command cannot go on; the text is shown to the user as it stands."""

    exit_code = 1


class WrongUse(Fault):
    """The command was asked for something that cannot be: a wrong setting, a missing file, a flag that contradicts."""

    exit_code = 2


class Failed(Fault):
    """The command was asked rightly and did not succeed."""


EXPECTED = (
    ("ingest.kafka.errors", "KafkaFailure", Failed),
    ("ingest.store", "StoreError", Failed),
    ("ingest.view", "BadViewName", WrongUse),
    ("ingest.contract", "BadMessage", Failed),
    ("ingest.cameras.source", "EmptySource", WrongUse),
    ("ingest.cameras.folder", "UnreadableMask", Failed),
    ("ingest.cameras.video", "UnreadableVideo", WrongUse),
    ("softpatch.images.folders", "NoImages", WrongUse),
    ("softpatch.images.decode", "UndecodableImage", Failed),
    ("softpatch.building.window", "TooFewFrames", Failed),
    ("softpatch.bank", "InvalidBank", Failed),
    ("softpatch.network.graph", "InvalidGraph", WrongUse),
    ("softpatch.network.embed", "ProviderUnavailable", Failed),
    ("trainer.window", "NewerIndex", Failed),
    ("monitoring.health", "PortInUse", Failed),
    ("deploy.local_stack.embedded_broker", "EmbeddedBrokerError", Failed),
)
"""What the packages below raise when the world is not as it should be: their texts say what to do."""


def fault_of(error: Exception) -> Fault | None:
    """The fault that an expected error is; None for a mistake in the program itself."""
    if isinstance(error, Fault):
        return error
    for module, name, fault in EXPECTED:
        loaded = sys.modules.get(module)  # an error's module is loaded, or the error is another's
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return fault(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.filename:
        return Failed(f"{error.filename}: {error.strerror}; check the path and its rights")
    return None
