"""The command contract: what people and other services request of the trainer. The answer is a bank event."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from ingest.contract import Message, Moment, Sha256, Who, Why
from ingest.view import ViewName


class CommandKind(StrEnum):
    """What is requested."""

    PROMOTE = "promote"
    """Put `bank_version` in force."""
    ROLLBACK = "rollback"
    """Put the previous bank back in force."""
    REBUILD = "rebuild"
    """Build a bank from the window now."""
    RELEARN = "relearn"
    """Forget the window and learn the view anew."""
    RETIRE = "retire"
    """The view has ended: remove its banks, its window and what is known of its frames."""
    PIN = "pin"
    """Make `bank_version` the reference; none: the active bank."""
    UNPIN = "unpin"
    """There is no reference any more."""
    HOLD = "hold"
    """Learn nothing, and build nothing, until a person decides; decisions go on by the bank in force."""
    RELEASE = "release"
    """Let a held view learn again, by the bank in force."""
    CANCEL_BUILD = "cancel_build"
    """Stop the view's build, running or asked for; the next one comes by its schedule."""
    SET_THRESHOLD = "set_threshold"
    """Change the threshold in force: to `threshold`, or to what the bank's calibration gives for `false_reject_ratio`.

    What was asked for is kept in the bank state and holds for every later bank: the ratio, or the one that `threshold`
    means by the calibration of the bank in force, and the limits as shares of the threshold. `by_settings` takes both
    back: the view's settings hold again. Where `bank_version` is given, only while that bank is in force.
    """


class Command(Message):
    """One request about one view."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    view: ViewName
    kind: CommandKind
    bank_version: Sha256 | None = None
    threshold: PositiveFloat | None = None
    low_limit: PositiveFloat | None = None
    high_limit: PositiveFloat | None = None
    false_reject_ratio: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    by_settings: Literal[True] | None = None
    """Of set_threshold: by the view's settings again, instead of `threshold` or `false_reject_ratio`."""
    who: Who
    why: Why
    at: Moment

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if self.kind is CommandKind.PROMOTE and self.bank_version is None:
            raise ValueError("promote needs bank_version")
        wanted = (self.threshold is not None, self.false_reject_ratio is not None, bool(self.by_settings))
        if self.kind is CommandKind.SET_THRESHOLD and sum(wanted) != 1:
            raise ValueError("set_threshold needs one of threshold, false_reject_ratio and by_settings")
        return self
