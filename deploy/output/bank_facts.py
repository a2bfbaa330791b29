"""What a command shows of a bank, and how it writes versions and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softpatch.calibration.threshold import why_uncertain

if TYPE_CHECKING:
    from softpatch.bank import Bank

SHORT = 12
"""Characters of a version or hash that are shown: enough to tell the banks of a line apart."""


def short_version(version: str) -> str:
    """The start of a bank version or graph hash, for people."""
    return version[:SHORT]


def readable(value: object) -> str:
    """A value for a table."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def bank_facts(bank: Bank, version: str, size_bytes: int, *, interval_ratio_limit: float) -> dict[str, object]:
    """What a bank was built from and decides by; its threshold is provisional while less certain than the limit."""
    manifest, frames = bank.manifest, len(bank.calibration_scores)
    doubt = why_uncertain(manifest.threshold, frames=frames, interval_ratio_limit=interval_ratio_limit)
    return {
        "version": version,
        "view": manifest.view,
        "created_at": manifest.created_at,
        "frames": len(manifest.frame_names),
        "skipped_frames": manifest.skipped_frames,
        "patches": len(bank.vectors),
        "dimension": manifest.dimension,
        "graph": f"{manifest.graph_name} {short_version(manifest.graph_hash)}",
        "input": f"{manifest.geometry.width_px} x {manifest.geometry.height_px} px, {manifest.geometry.mode}",
        "threshold": manifest.threshold.value,
        "threshold_low": manifest.threshold.interval_low,
        "threshold_high": manifest.threshold.interval_high,
        "threshold_doubt": doubt,
        "threshold_rule": manifest.threshold.rule,
        "noise_estimate": manifest.noise_estimate,
        "parent": manifest.parent,
        "size_bytes": size_bytes,
    }
