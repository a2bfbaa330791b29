"""What a run teaches, in sentences: which defects were missed, what the bank says of that itself, what would help."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ingest.decision import Verdict
from softpatch.calibration.threshold import threshold_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.demo.summary import JudgedFrame
    from softpatch.bank import Bank
    from softpatch.calibration.detection import DetectionCurve

STRICTER_TIMES = 2.5
"""By how much more false rejects are asked for in the comparison: 5 % where 2 % were."""
MOST_RATIO = 0.2

LARGER_TIMES = 2
"""How many times the pixels of the input are put forward."""


def misses_by_kind(judged: Sequence[JudgedFrame]) -> dict[str, tuple[int, int]]:
    """Of each kind of defect how many parts passed, and how many there were; the most missed first."""
    sent = Counter(frame.label for frame in judged if frame.defective and frame.label is not None)
    missed = Counter(frame.label for frame in judged if frame.defective and _passed(frame))
    order = sorted(sent, key=lambda kind: (-missed[kind] / sent[kind], -sent[kind], kind))
    return {kind: (missed[kind], sent[kind]) for kind in order}


def findings(judged: Sequence[JudgedFrame], bank: Bank) -> list[str]:
    """The sentences, where there is a miss to learn from or the bank says what it sees."""
    kinds, said = misses_by_kind(judged), []
    missed = sum(many for many, _ in kinds.values())
    if kinds:
        said.append(_by_kind(kinds))
    detection = bank.manifest.detection
    if detection is not None:
        said.append(detection_sentence(detection))
    if missed:
        said += [_stricter(judged, bank), _larger(bank)]
    return said


def detection_sentence(curve: DetectionCurve) -> str:
    """How small a planted defect the bank finds nine times in ten."""
    tried = f"{curve.planted} defects planted into its own frames"
    if curve.a90_px is None:
        found = f"no size up to {curve.largest_px:.0f} px is found nine times in ten"
    else:
        low, high = curve.a90_low_px, curve.a90_high_px
        interval = f"{'?' if low is None else f'{low:.0f}'} to {'more' if high is None else f'{high:.0f}'}"
        found = f"those of {curve.a90_px:.0f} px ({interval}) are found nine times in ten, smaller ones less often"
    worst = min(curve.kinds, key=lambda kind: curve.kinds[kind])
    return f"What the bank says of itself: of {tried}, {found}; a {worst} least often ({curve.kinds[worst]:.0%})."


def _by_kind(kinds: dict[str, tuple[int, int]]) -> str:
    parts = [f"{kind.replace('_', ' ')} {missed} of {sent}" for kind, (missed, sent) in kinds.items()]
    return f"Missed by kind of defect: {', '.join(parts)}."


def _stricter(judged: Sequence[JudgedFrame], bank: Bank) -> str:
    """The same scores under the threshold that more false rejects asked for would give."""
    asked = bank.manifest.threshold.false_reject_ratio
    stricter = min(STRICTER_TIMES * asked, MOST_RATIO)
    limit = threshold_of(bank, stricter)
    caught = sum(bool(frame.defective) and _passed(frame) and _score(frame) > limit for frame in judged)
    missed = sum(bool(frame.defective) and _passed(frame) for frame in judged)
    good = [frame for frame in judged if frame.defective is False]
    more = sum(_passed(frame) and _score(frame) > limit for frame in good)
    return (
        f"A stricter threshold (build.false_reject_ratio: {stricter:g} instead of {asked:g}, {limit:.3g}) would have "
        f"stopped {caught} of the {missed} missed, and {more} more of {len(good)} good parts."
    )


def _larger(bank: Bank) -> str:
    """What a larger input would take; what it would find is only known once it is tried."""
    manifest = bank.manifest
    pixels = manifest.geometry.width_px * manifest.geometry.height_px
    cost = None if manifest.input_choice is None else manifest.input_choice.cost
    measured = "" if cost is None else f", {1000 * cost.frame_seconds:.0f} ms now"
    return (
        f"A larger input shows smaller defects (build.most_input_px: {LARGER_TIMES * pixels}, now "
        f"{manifest.geometry.width_px} x {manifest.geometry.height_px}): about {LARGER_TIMES} times the time for a "
        f"frame{measured}."
    )


def _passed(frame: JudgedFrame) -> bool:
    return frame.decision is not None and frame.decision.verdict is Verdict.PASS


def _score(frame: JudgedFrame) -> float:
    return 0.0 if frame.decision is None or frame.decision.score is None else frame.decision.score
