"""What a page says of a bank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitoring.console.drawing import detection_drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.console.drawing import DetectionDrawing
    from softpatch.bank import Bank


@dataclass(frozen=True)
class Detection:
    """What a bank finds of defects planted into its own frames: drawn, and in figures; sizes in pixels of the frame."""

    drawing: DetectionDrawing
    planted: int
    found: int
    a50_px: float | None
    a90_px: float | None
    a90_low_px: float | None
    a90_high_px: float | None
    kinds: Sequence[tuple[str, float]]
    """Each kind of defect and the share of it that was found, the least found first."""


@dataclass(frozen=True)
class BankFacts:
    """A bank in figures."""

    created_at: str
    frames: int
    skipped: int
    patches: int
    kept_ratio: float
    noise_estimate: float
    threshold: float
    interval_low: float
    interval_high: float
    false_reject_ratio: float
    groups: int
    golden_right: int
    golden_wrong: int
    detection: Detection | None


def bank_facts(bank: Bank) -> BankFacts:
    """The figures of a bank."""
    manifest = bank.manifest
    return BankFacts(
        created_at=manifest.created_at,
        frames=len(bank.calibration_scores),
        skipped=manifest.skipped_frames,
        patches=len(bank.vectors),
        kept_ratio=manifest.kept_ratio,
        noise_estimate=manifest.noise_estimate,
        threshold=manifest.threshold.value,
        interval_low=manifest.threshold.interval_low,
        interval_high=manifest.threshold.interval_high,
        false_reject_ratio=manifest.threshold.false_reject_ratio,
        groups=len(manifest.groups),
        golden_right=manifest.golden.right,
        golden_wrong=len(manifest.golden.wrong),
        detection=_detection(bank),
    )


def _detection(bank: Bank) -> Detection | None:
    curve = bank.manifest.detection
    if curve is None:
        return None
    return Detection(
        drawing=detection_drawing(curve),
        planted=curve.planted,
        found=curve.found,
        a50_px=curve.a50_px,
        a90_px=curve.a90_px,
        a90_low_px=curve.a90_low_px,
        a90_high_px=curve.a90_high_px,
        kinds=sorted(curve.kinds.items(), key=lambda each: each[1]),
    )


def calibration_of(bank: Bank) -> Sequence[float]:
    """The scores of a bank's calibration frames over its threshold."""
    ratios: list[float] = (bank.calibration_scores / bank.manifest.threshold.value).tolist()
    return ratios
