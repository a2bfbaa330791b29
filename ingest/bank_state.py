"""The bank state contract: which banks serve a view.

One writer, the trainer that owns the view; the last committed record is the truth.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, model_validator

from ingest.annotation import FrameAnnotation, Label
from ingest.contract import FrozenModel, Message, Moment, Sha256
from ingest.view import ViewName


class ViewState(StrEnum):
    """How far a view has come."""

    LEARNING = "learning"
    """No bank yet: every frame is undecided."""
    PROVISIONAL = "provisional"
    """Verdicts count, but the threshold's interval is still wide or the first bank's review list is open."""
    ACTIVE = "active"
    HELD = "held"
    """Verdicts go on by the active bank, and nothing is learnt until a person decides: they, or the gate, held it."""
    RETIRED = "retired"
    """A person said that the view has ended: no bank, no window. A frame of it begins it anew."""


class BankInForce(FrozenModel):
    """A bank with what decides by it. Limits and threshold are L2 distances of this bank."""

    version: Sha256
    uri: str
    graph_hash: Sha256
    threshold: PositiveFloat
    low_limit: PositiveFloat | None = None
    """Certain pass at or below; absent: the threshold."""
    high_limit: PositiveFloat | None = None
    """Certain fail above; absent: the threshold."""

    @model_validator(mode="after")
    def _limits_embrace_the_threshold(self) -> Self:
        low = self.threshold if self.low_limit is None else self.low_limit
        high = self.threshold if self.high_limit is None else self.high_limit
        if not low <= self.threshold <= high:
            raise ValueError("low_limit <= threshold <= high_limit must hold")
        return self


class RefusedBank(FrozenModel):
    """A bank that the gate, or its time in shadow, kept out of force."""

    version: Sha256
    why: str
    at: Moment


class BankState(Message):
    """A view's whole bank state."""

    view: ViewName
    epoch: Annotated[int, Field(ge=0)]
    """Counts up by one with every change of this state."""
    state: ViewState
    provisional_because: str | None = None
    """Of a provisional view: what keeps its threshold from being certain, as of its newest bank."""
    frames_needed: Annotated[int, Field(ge=0)] | None = None
    """Of a provisional view: about how many more frames its threshold needed when that bank was built."""
    active: BankInForce | None = None
    previous: BankInForce | None = None
    """What a rollback brings back."""
    shadow: BankInForce | None = None
    """A bank that scores a sample of frames beside the active one, without deciding; it is the candidate, too."""
    shadow_since: Moment | None = None
    """When it began to."""
    candidate: BankInForce | None = None
    """A bank that passed the gate and is not yet in force."""
    refused: RefusedBank | None = None
    """The newest bank that was kept out of force, until another one comes into force."""
    pinned: Sha256 | None = None
    """The reference bank a person chose; the gate measures how far a candidate is from it."""
    commands_through: Annotated[int, Field(ge=0)] = 0
    """The first offset of the view's partition of `commands` that is not yet carried out."""
    feedback_through: Annotated[int, Field(ge=0)] = 0
    """The same, of `feedback`."""
    false_reject_ratio: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """What a person asked for, in force for every later bank; absent: the view's setting."""
    undecided_band: tuple[PositiveFloat, PositiveFloat] | None = None
    """The same, of the band of score ratios in which a frame is undecided."""
    threshold_from: str | None = None
    """Who asked for these two, and why; absent: the view's settings."""
    annotations: tuple[FrameAnnotation, ...] = ()
    """Groups that builds found and frames that people gave a word on, oldest first."""
    by: str
    why: str
    at: Moment

    @property
    def open_groups(self) -> tuple[FrameAnnotation, ...]:
        """The groups that wait for a person's word."""
        return tuple(each for each in self.annotations if each.label is Label.OPEN)

    @model_validator(mode="after")
    def _only_learning_lacks_a_bank(self) -> Self:
        if (self.active is None) and self.state in (ViewState.PROVISIONAL, ViewState.ACTIVE):
            raise ValueError(f"a view that is {self.state} has an active bank")
        if self.active is not None and self.state in (ViewState.LEARNING, ViewState.RETIRED):
            raise ValueError(f"a view that is {self.state} has no active bank")
        return self
