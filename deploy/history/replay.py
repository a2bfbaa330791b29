"""Recorded frames decided again: by the same code, bank, limits and moment, or by another bank.

The inspection itself runs here, one frame at a time: `inference.inspector.Inspector` on the records that Kafka still
has. What it needs beside the frame is taken from the recorded decision: the bank, the threshold in force, and the time.
Frames before the first are inspected too, and forgotten, so that what depends on earlier frames (a frozen picture,
a line that has changed) comes out as it did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from inference.answer_sizes import AS_CREATED, AnswerSizes
from inference.decide import InForce, Limits, NoBank
from inference.history import History
from inference.inspector import Destinations, Inspector, Queued
from inference.known_views import KnownViews
from ingest.decision import Decision, Reason
from ingest.kafka.records import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inference.banks import BankStatus, Serving
    from inference.scoring import FrameScoring
    from inference.settings import ViewInspection
    from ingest.kafka.records import Record

SCORE_TOLERANCE = 1e-4
"""How far a score may differ, relative to what was recorded."""
REMEMBERED = 10_000
EXACT = (
    "verdict",
    "reason",
    "provisional",
    "threshold",
    "input_fault",
    "line_change",
    "size_wh_px",
    "difference_hash",
    "change_bits",
    "duplicate_of",
    "replay_of",
    "sequence",
    "part_serial",
)
"""Fields of a decision that must be the same, one by one."""
AFTER_ANOTHER = frozenset({"change_bits"})
"""Fields that compare a frame with the one before: an inspection that had just started knew of none."""
BY_BANK = frozenset({"score", "threshold", "provisional"})
"""Fields that another bank is expected to change: a what-if compares what counts, not these."""


@dataclass(frozen=True)
class Difference:
    """A field of a decision that came out otherwise."""

    field: str
    recorded: object
    again: object

    def __str__(self) -> str:
        return f"{self.field} {self.recorded} is {self.again}"


@dataclass(frozen=True)
class ReplayedFrame:
    """A recorded decision, the one that was made again (None: it became a dead letter), and where they differ."""

    recorded: Decision
    again: Decision | None
    differences: tuple[Difference, ...]


class Replay:
    """Decides records of one partition again. One thread only."""

    def __init__(
        self,
        scoring: FrameScoring,
        *,
        first_topic: str,
        serving_of: Callable[[Decision], BankStatus],
        inspection_of: Callable[[str], ViewInspection],
        clock: Callable[[], float],
        what_if: bool = False,
    ) -> None:
        """`serving_of` gives the bank of a recorded decision, or another one; `what_if`: it is another one.

        `first_topic`: of frames, see `ingest.frame.parse_frame`.
        """
        self._serving_of = serving_of
        self._what_if = what_if
        self._clock = clock
        self._recorded: Decision | None = None
        self._inspector = Inspector(
            scoring=scoring,
            banks=self,  # type: ignore[arg-type]  # of the banks in force it asks the status alone
            history=History(remembered_frame_ids=REMEMBERED),
            inspection_of=inspection_of,
            destinations=Destinations("decisions", "frames.dead-letter"),
            sizes=AnswerSizes(lambda: AS_CREATED),
            views=KnownViews(most=1_000_000, forget_after_seconds=float("inf"), clock=clock),
            clock=clock,
            now=lambda: self._of_now().decided_at,
            first_topic=first_topic,
            wrong_clock=lambda: self._of_now().reason is Reason.CLOCK,
        )

    def status(self, view: str) -> BankStatus:
        """By which bank the frame in hand is decided."""
        recorded = self._of_now()
        return self._serving_of(recorded) if recorded.view == view else NoBank(Reason.LEARNING)

    def frames(
        self, records: Sequence[Record], recorded: Mapping[int, Decision], *, first: int
    ) -> Iterator[ReplayedFrame]:
        """Every record from offset `first` on that has a decision, decided again; `recorded` is by offset.

        Records without one (dead letters, frames that were never decided) are left out.
        """
        for record in records:
            decision = recorded.get(record.offset)
            if decision is None:
                continue
            self._recorded = decision
            claimed = replace(record, claim=Claim(record.topic_partition, 1))
            (answer,) = self._inspector.inspect([Queued(claimed, self._clock())]).answers
            if record.offset >= first:
                again = answer.message if isinstance(answer.message, Decision) else None
                yield ReplayedFrame(decision, again, differences(decision, again, what_if=self._what_if))

    def _of_now(self) -> Decision:
        if self._recorded is None:
            raise RuntimeError("no frame is in hand")
        return self._recorded


def differences(recorded: Decision, again: Decision | None, *, what_if: bool) -> tuple[Difference, ...]:
    """Where two decisions on one frame differ; scores may by `SCORE_TOLERANCE`."""
    if again is None:
        return (Difference("outcome", "decision", "dead letter"),)
    found = [
        Difference(name, _plain(getattr(recorded, name)), _plain(getattr(again, name)))
        for name in EXACT
        if getattr(recorded, name) != getattr(again, name)
        and not (what_if and name in BY_BANK)
        and not (name in AFTER_ANOTHER and getattr(recorded, name) is None)
    ]
    if not what_if and not same_score(recorded.score, again.score):
        found.append(Difference("score", recorded.score, again.score))
    return tuple(found)


def same_score(recorded: float | None, again: float | None) -> bool:
    """Whether two scores are one, as far as floating point goes on another machine."""
    if recorded is None or again is None:
        return recorded is again
    return abs(again - recorded) <= SCORE_TOLERANCE * abs(recorded)


def as_recorded(serving: Serving, recorded: Decision, *, band: tuple[float, float] | None, epoch: int) -> Serving:
    """A loaded bank with what decided by it then; `band`: score ratios between which a frame was undecided."""
    threshold = recorded.threshold or serving.in_force.limits.threshold
    low, high = (threshold, threshold) if band is None else (band[0] * threshold, band[1] * threshold)
    limits = Limits(threshold, min(low, threshold), max(high, threshold))
    in_force = InForce(serving.in_force.version, epoch, limits, provisional=recorded.provisional)
    return replace(serving, in_force=in_force)


def _plain(value: Any) -> object:  # noqa: ANN401 -- whatever a decision holds
    return getattr(value, "value", value) if not hasattr(value, "offset") else str(value)
