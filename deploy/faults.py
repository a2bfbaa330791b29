"""What ends a command: one sentence that says what to do, and the exit code that goes with it."""

from __future__ import annotations


class Fault(Exception):
    """The command cannot go on; the text is shown to the user as it stands."""

    exit_code = 1


class WrongUse(Fault):
    """The command was asked for something that cannot be: a wrong setting, a missing file, a flag that contradicts."""

    exit_code = 2


class Failed(Fault):
    """The command was asked rightly and did not succeed."""
