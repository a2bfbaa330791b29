"""What a page says of a bank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from softpatch.bank import Bank


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
    )


def calibration_of(bank: Bank) -> Sequence[float]:
    """The scores of a bank's calibration frames over its threshold."""
    ratios: list[float] = (bank.calibration_scores / bank.manifest.threshold.value).tolist()
    return ratios
