"""Facts in, a decision out: no clock, no I/O, and never a silent pass.

The first reason that applies is the reason of a decision:

1. no bank          `learning` or `bank_refused`: nothing to compare with
2. `no_score`       a bank, but no finite score
3. `clock`          a score, by a machine whose clock is not to be trusted
4. `deadline`       a score, too late to act on; it is kept
5. `dead_letter_rate`  a score, from a view whose input is not to be trusted
6. `frame_size`     a score of a picture smaller than those the bank learnt, or of another aspect ratio
7. `input_fault`    a score of a picture that shows nothing to inspect; the view's policy may be pass or fail instead
8. `no_part`        a score above the low limit, of a picture in which there is no part
9. `near_threshold` a score between the low and the high limit
10. `line_changed`  a score above the high limit, while most frames of the view fail together
11. otherwise `fail` above the threshold, `pass` at or below it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from ingest.decision import BankRef, Decision, Reason, Verdict, decision_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Literal

    from ingest.bank_state import BankInForce
    from ingest.contract import SourceRecord
    from ingest.decision import DefectRegion, ImageFacts, InputFaultPolicy, LineChange, NearestPatch, SmallMap
    from ingest.frame import Frame
    from softpatch.images.input_faults import FrameThumbnail, InputFault


@dataclass(frozen=True)
class Limits:
    """What decides by a bank; L2 distances, `low <= threshold <= high`, all positive."""

    threshold: float
    low: float
    high: float

    @classmethod
    def of(cls, bank: BankInForce) -> Limits:
        """The limits in force; an absent one is the threshold."""
        return cls(
            threshold=bank.threshold,
            low=bank.threshold if bank.low_limit is None else bank.low_limit,
            high=bank.threshold if bank.high_limit is None else bank.high_limit,
        )


@dataclass(frozen=True)
class InForce:
    """The bank a view is decided by, as far as deciding goes."""

    version: str
    epoch: int
    limits: Limits
    provisional: bool


@dataclass(frozen=True)
class NoBank:
    """A view that nothing can be decided about, and why."""

    reason: Literal[Reason.LEARNING, Reason.BANK_REFUSED]


@dataclass(frozen=True)
class Ruling:
    """A verdict and, where it is undecided, its reason."""

    verdict: Verdict
    reason: Reason | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the pixels show before any network."""

    image: ImageFacts
    size_wh_px: tuple[int, int]
    difference_hash: int
    thumbnail: FrameThumbnail
    exposure_fault: InputFault | None = None
    unlike_size: bool = False
    """Whether it is smaller than the frames its bank learnt, or of another aspect ratio."""


@dataclass(frozen=True, kw_only=True)
class ScoreEvidence:
    """What scoring found; `score` may be anything a network can give, NaN included."""

    score: float
    worst_patch: tuple[int, int]
    """Grid row and column of the patch that gives the frame its score."""
    no_part: bool = False
    """Whether there is no part in the picture; never asked of a frame that passes."""
    provider: str
    precision: Literal["fp32", "fp16", "int8"]
    regions: tuple[DefectRegion, ...] = ()
    anomaly_map: SmallMap | None = None
    nearest: NearestPatch | None = None
    sketch: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionFacts:
    """All that one decision depends on."""

    frame: Frame
    status: InForce | NoBank
    seen: Seen
    evidence: ScoreEvidence | None
    late: bool
    wrong_clock: bool
    dead_letters_over_cap: bool
    input_fault: InputFault | None
    input_fault_policy: InputFaultPolicy
    change_bits: int | None
    duplicate_of: SourceRecord | None
    appended_at: datetime
    decided_at: datetime
    queue_seconds: float
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def ruled_by_policy(self) -> bool:
        """Whether the frame shows nothing to inspect and the view's policy decides it, not its score."""
        return self.input_fault is not None and self.input_fault_policy != "inspect"


@dataclass(frozen=True)
class LineChanged:
    """The line is no longer what its bank learnt: where its frames differ, in pixels of the frame as it came."""

    where: LineChange
    box_xyxy_px: tuple[float, float, float, float] | None = None


def rule(
    score: float | None,
    status: InForce | NoBank,
    *,
    wrong_clock: bool = False,
    late: bool = False,
    dead_letters_over_cap: bool = False,
    unlike_size: bool = False,
    input_fault: InputFaultPolicy | None = None,
    no_part: bool = False,
    line_changed: bool = False,
) -> Ruling:
    """Undecided, with the first reason in the order above, whenever nothing certain is known of the part.

    `input_fault` is the policy for frames that show nothing to inspect; None for one that does.
    """
    if isinstance(status, NoBank):
        return Ruling(Verdict.UNDECIDED, status.reason)
    if score is None or not usable(score, status.limits):
        return Ruling(Verdict.UNDECIDED, Reason.NO_SCORE)
    doubts = {
        Reason.CLOCK: wrong_clock,
        Reason.DEADLINE: late,
        Reason.DEAD_LETTER_RATE: dead_letters_over_cap,
        Reason.FRAME_SIZE: unlike_size,
    }
    if any(doubts.values()):
        return Ruling(Verdict.UNDECIDED, next(reason for reason, applies in doubts.items() if applies))
    if input_fault is not None and input_fault != "inspect":
        return _BY_POLICY[input_fault]
    return unless_explained(by_score(score, status.limits), no_part=no_part, line_changed=line_changed)


def unless_explained(ruling: Ruling, *, no_part: bool, line_changed: bool) -> Ruling:
    """The ruling by the score, where nothing but a defect explains a high one; a pass stays a pass."""
    if no_part and ruling.verdict is not Verdict.PASS:
        return Ruling(Verdict.UNDECIDED, Reason.NO_PART)
    if line_changed and ruling.verdict is Verdict.FAIL:
        return Ruling(Verdict.UNDECIDED, Reason.LINE_CHANGED)
    return ruling


def by_score(score: float, limits: Limits) -> Ruling:
    """The ruling by the score alone."""
    if limits.low < score <= limits.high:
        return Ruling(Verdict.UNDECIDED, Reason.NEAR_THRESHOLD)
    return Ruling(Verdict.FAIL if score > limits.threshold else Verdict.PASS)


_BY_POLICY: Mapping[InputFaultPolicy, Ruling] = {
    "undecided": Ruling(Verdict.UNDECIDED, Reason.INPUT_FAULT),
    "pass": Ruling(Verdict.PASS),
    "fail": Ruling(Verdict.FAIL),
}


def usable(score: float, limits: Limits) -> bool:
    """Whether a score can be compared: NaN compares false, and would pass; no distance is negative or endless."""
    return score >= 0 and isfinite(score / limits.threshold)


def rule_on(facts: DecisionFacts, *, line_changed: bool = False) -> Ruling:
    """The ruling on one frame's facts."""
    return rule(
        facts.evidence.score if facts.evidence else None,
        facts.status,
        wrong_clock=facts.wrong_clock,
        late=facts.late,
        dead_letters_over_cap=facts.dead_letters_over_cap,
        unlike_size=facts.seen.unlike_size,
        input_fault=facts.input_fault_policy if facts.input_fault else None,
        no_part=facts.evidence is not None and facts.evidence.no_part,
        line_changed=line_changed,
    )


def decide(facts: DecisionFacts, line_changed: LineChanged | None = None) -> Decision:
    """The decision on one frame; a score that is unusable is left out together with all that was derived from it."""
    frame = facts.frame
    ruling = rule_on(facts, line_changed=line_changed is not None)
    change = line_changed if ruling.reason is Reason.LINE_CHANGED else None
    return Decision(
        id=decision_id(frame.view, frame.frame_id),
        view=frame.view,
        frame_id=frame.frame_id,
        source=frame.source,
        verdict=ruling.verdict,
        reason=ruling.reason,
        image=facts.seen.image,
        input_fault=facts.input_fault,
        line_change=None if change is None else change.where,
        line_change_box_xyxy_px=None if change is None else change.box_xyxy_px,
        size_wh_px=facts.seen.size_wh_px,
        difference_hash=f"{facts.seen.difference_hash:016x}",
        change_bits=facts.change_bits,
        sequence=frame.sequence,
        part_serial=frame.part_serial,
        file_name=frame.file_name,
        captured_at=frame.captured_at,
        appended_at=facts.appended_at,
        decided_at=facts.decided_at,
        queue_seconds=facts.queue_seconds,
        stage_seconds=dict(facts.stage_seconds),
        duplicate_of=facts.duplicate_of,
        replay_of=frame.replay_of,
        **_by_bank(facts.status, facts.evidence),
    )


def _by_bank(status: InForce | NoBank, evidence: ScoreEvidence | None) -> dict[str, Any]:
    """The fields that need a bank, and those that need a score by it."""
    if isinstance(status, NoBank):
        return {}
    threshold = status.limits.threshold
    fields: dict[str, Any] = {
        "provisional": status.provisional,
        "threshold": threshold,
        "bank": BankRef(version=status.version, epoch=status.epoch),
    }
    if evidence is None or not usable(evidence.score, status.limits):
        return fields
    return fields | {
        "score": evidence.score,
        "score_ratio": evidence.score / threshold,
        "regions": evidence.regions,
        "anomaly_map": evidence.anomaly_map,
        "nearest": evidence.nearest,
        "sketch": evidence.sketch,
        "provider": evidence.provider,
        "precision": evidence.precision,
    }
