"""A batch of records in, one answer each out: a decision or a dead letter, and the work that commits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from inference.decide import DecisionFacts, LineChanged, NoBank, decide
from inference.evidence import source_box_of
from inference.line_change import ScoredBy, scored_frame
from inference.scoring import StageClock
from ingest.contract import SourceRecord
from ingest.dead_letter import DeadLetter, dead_letter_of, headers_of
from ingest.frame import BadFrame, DeadLetterReason, Frame, frame_of_record, view_named_by
from ingest.kafka.records import Outgoing, Record, Work
from softpatch.images.input_faults import InputBaseline, InputFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inference.answer_sizes import AnswerSizes
    from inference.banks import ActiveBanks, BankStatus
    from inference.history import History, Recalled
    from inference.known_views import KnownViews
    from inference.scoring import FrameScoring, Inspected
    from inference.settings import ViewInspection
    from inference.shadow import ShadowScoring
    from ingest.decision import Decision

log = structlog.get_logger(__name__)

TOO_MANY_VIEWS = (
    "more views send than inference.max_views allows: does the key hold a serial number? Put it into part-serial; or "
    "raise the setting"
)
MOST_TOLD = 1000
"""Cameras and headers that are logged: whoever puts a serial number into the key must not fill our memory."""


@dataclass(frozen=True)
class Queued:
    """A record, and when (monotonic seconds) it was put in the queue."""

    record: Record
    at: float


@dataclass(frozen=True)
class FrameAnswer:
    """What one record became; `view` is empty where the record names none."""

    work: Work
    view: str
    message: Decision | DeadLetter
    queue_seconds: float
    missing_frames: int = 0
    unread_headers: tuple[str, ...] = ()
    """Optional headers of the frame that could not be read."""


@dataclass(frozen=True)
class AnswerBatch:
    """What one batch became, in the order of its records, and where the time went."""

    answers: tuple[FrameAnswer, ...]
    statuses: Mapping[str, BankStatus] = field(default_factory=dict)
    """How each view stood while the batch was decided."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    """Views that were silent for so long that nothing is remembered of them."""


@dataclass(frozen=True)
class Destinations:
    """Full names of the topics that answers go to."""

    decisions: str
    dead_letters: str


class Inspector:
    """The whole of the work between poll and commit; it knows records but no Kafka. One thread only."""

    def __init__(
        self,
        *,
        scoring: FrameScoring,
        banks: ActiveBanks,
        history: History,
        inspection_of: Callable[[str], ViewInspection],
        destinations: Destinations,
        sizes: AnswerSizes,
        views: KnownViews,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        first_topic: str,
        wrong_clock: Callable[[], bool] = lambda: False,
        shadow: ShadowScoring | None = None,
    ) -> None:
        """`now` is the broker's time, as well as it is known; `wrong_clock`: whether no age can be trusted.

        `first_topic`: of frames, see `ingest.frame.parse_frame`.
        """
        self._first_topic = first_topic
        self._scoring = scoring
        self._banks = banks
        self._history = history
        self._inspection_of = inspection_of
        self._destinations = destinations
        self._sizes = sizes
        self._views = views
        self._told_unread: set[tuple[str, str]] = set()
        self._clock = clock
        self._now = now
        self._wrong_clock = wrong_clock
        self._shadow = shadow

    def inspect(self, batch: Sequence[Queued]) -> AnswerBatch:
        """One answer per record, in order."""
        taken_at = self._clock()
        stages = StageClock(self._clock)
        forgotten = self._forget_silent()
        parsed = [self._admitted(_parsed(each.record, self._first_topic)) for each in batch]
        frames = [each for each in parsed if isinstance(each, Frame)]
        statuses = {view: self._banks.status(view) for view in {frame.view for frame in frames}}
        shown = iter(self._scoring.inspect(frames, [statuses[frame.view] for frame in frames], stages))
        answers = []
        for queued, frame in zip(batch, parsed, strict=True):
            found = frame if isinstance(frame, BadFrame) else next(shown)
            waited = taken_at - queued.at
            if isinstance(found, BadFrame):
                answers.append(self._dead_letter(queued.record, found, waited))
            elif isinstance(frame, Frame):
                answers.append(self._answered(queued.record, frame, statuses[frame.view], found, waited))
        _log_dead_letters(answers)
        return AnswerBatch(tuple(answers), statuses, dict(stages.seconds), forgotten)

    def _forget_silent(self) -> tuple[str, ...]:
        forgotten = self._views.forget_silent()
        self._history.forget(frozenset(forgotten))
        return forgotten

    def _admitted(self, parsed: Frame | BadFrame) -> Frame | BadFrame:
        if isinstance(parsed, BadFrame):
            return parsed
        has_bank = not isinstance(self._banks.status(parsed.view), NoBank)
        if self._views.admit(parsed.view, has_bank=has_bank):
            return parsed
        return BadFrame(DeadLetterReason.TOO_MANY_VIEWS, TOO_MANY_VIEWS)

    def _answered(
        self, record: Record, frame: Frame, status: BankStatus, found: Inspected, queue_seconds: float
    ) -> FrameAnswer:
        """A decision; or, where a fault of ours prevents one, a dead letter: a crash would meet the record again."""
        try:
            return self._decision(record, frame, status, found, queue_seconds)
        except BadFrame as refusal:
            return self._dead_letter(record, refusal, queue_seconds)
        except Exception as error:
            log.exception("frame_not_decided", source=str(frame.source))
            why = BadFrame(DeadLetterReason.CORRUPT, f"deciding failed: {type(error).__name__}: {error}")
            return self._dead_letter(record, why, queue_seconds)

    def _decision(
        self, record: Record, frame: Frame, status: BankStatus, found: Inspected, queue_seconds: float
    ) -> FrameAnswer:
        inspection = self._inspection_of(frame.view)
        baseline = InputBaseline() if isinstance(status, NoBank) else status.baseline
        recalled = self._history.frame(frame, found.seen, baseline, inspection, tenure=_tenure(record))
        facts = self._facts(frame, status, found, recalled, inspection=inspection, queue_seconds=queue_seconds)
        decision = decide(facts, self._line_changed(facts, status, inspection))
        value = decision.to_bytes()
        if len(value) > self._sizes.decision_bytes:
            raise BadFrame(
                DeadLetterReason.ANSWER_TOO_LARGE,
                f"its decision has {len(value)} bytes, the topic takes {self._sizes.decision_bytes}",
            )
        outgoing = Outgoing(self._destinations.decisions, frame.key.encode(), value, partition=record.partition)
        self._tell_unread(frame)
        if self._shadow is not None:
            self._shadow.offer(facts, decision, partition=record.partition, every=inspection.shadow_every)
        return FrameAnswer(
            Work.of(record, (outgoing,)),
            frame.view,
            decision,
            queue_seconds,
            recalled.missing_frames,
            frame.unread_headers,
        )

    def _tell_unread(self, frame: Frame) -> None:
        """Log each header of each camera that cannot be read once: the counter says how often it comes."""
        for name in frame.unread_headers:
            if (frame.key, name) not in self._told_unread and len(self._told_unread) < MOST_TOLD:
                self._told_unread.add((frame.key, name))
                log.warning("header_unread", header=name, camera=frame.key, source=str(frame.source))

    def _facts(
        self,
        frame: Frame,
        status: BankStatus,
        found: Inspected,
        recalled: Recalled,
        *,
        inspection: ViewInspection,
        queue_seconds: float,
    ) -> DecisionFacts:
        appended_at, decided_at = _moment(frame.appended_ms), self._now()
        return DecisionFacts(
            frame=frame,
            status=status if isinstance(status, NoBank) else status.in_force,
            seen=found.seen,
            evidence=found.evidence,
            wrong_clock=self._wrong_clock(),
            late=(decided_at - appended_at).total_seconds() > inspection.deadline_seconds,
            dead_letters_over_cap=recalled.dead_letters_over_cap,
            input_fault=found.seen.exposure_fault or (InputFault.FROZEN if recalled.frozen else None),
            input_fault_policy=inspection.input_fault,
            change_bits=recalled.change_bits,
            duplicate_of=recalled.duplicate_of,
            appended_at=appended_at,
            decided_at=decided_at,
            queue_seconds=queue_seconds,
            stage_seconds=found.stage_seconds,
        )

    def _line_changed(self, facts: DecisionFacts, status: BankStatus, inspection: ViewInspection) -> LineChanged | None:
        """Whether most frames of the view fail together, this one among them where it counts."""
        if isinstance(status, NoBank):
            return None
        scored_by = ScoredBy.of(status.in_force)
        place = self._history.line_change(facts.frame, scored_frame(facts), scored_by, inspection)
        if place is None:
            return None
        box = None if place.grid_box is None else source_box_of(place.grid_box, status.bank, facts.seen.size_wh_px)
        return LineChanged(place.where, box)

    def _dead_letter(self, record: Record, why: BadFrame, queue_seconds: float) -> FrameAnswer:
        letter = dead_letter_of(
            source=SourceRecord.of(record),
            reason=why.reason,
            detail=str(why),
            at=self._now(),
            key=record.key,
            value=record.value,
            headers=record.headers,
            message_bytes=self._sizes.dead_letter_bytes,
            first_offset=record.unread.first_offset if record.unread else None,
        )
        view = view_named_by(record.key, record.headers)
        if view is not None and not self._views.knows(view):
            view = None  # rubbish under ever new names must not cost a view each
        if view is not None:
            self._history.dead_letter(letter.source, view, self._inspection_of(view), tenure=_tenure(record))
        outgoing = Outgoing(
            self._destinations.dead_letters,
            letter.key,
            letter.value,
            headers_of(letter),
            partition=record.partition,
        )
        return FrameAnswer(Work.of(record, (outgoing,)), view or "", letter, queue_seconds)


def _parsed(record: Record, first_topic: str) -> Frame | BadFrame:
    try:
        return frame_of_record(record, first_topic)
    except BadFrame as error:
        return error


def _log_dead_letters(answers: Sequence[FrameAnswer]) -> None:
    """One line a batch, however many: a storm of them must not become a storm of log lines."""
    letters = [answer.message for answer in answers if isinstance(answer.message, DeadLetter)]
    if letters:
        first = letters[0]
        fields = {"source": str(first.source), "reason": first.reason.value, "detail": first.detail}
        log.warning("dead_letters", records=len(letters), **fields)


def _moment(milliseconds: int) -> datetime:
    """A time no calendar holds (a sender's own, on a topic that trusts senders) is long ago: such a frame is late."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _tenure(record: Record) -> int:
    return record.claim.tenure if record.claim else 0
