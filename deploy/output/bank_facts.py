"""What a command shows of a bank, and how it writes versions and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.place_on_frame import described_place, group_place
from softpatch.calibration.threshold import why_uncertain

if TYPE_CHECKING:
    from softpatch.bank import Bank
    from softpatch.calibration.detection import DetectionCurve
    from softpatch.images.frame_sizes import FrameSizes
    from softpatch.manifest import GroupRecord, InputChoice

SHORT = 12
"""Characters of a version or hash that are shown: enough to tell the banks of a line apart."""


def short_version(version: str) -> str:
    """The start of a bank version or graph hash, for people."""
    return version[:SHORT]


def readable(value: object) -> str:
    """A value for a table; of several, a line each."""
    if isinstance(value, (list, tuple)):
        return "\n".join(map(readable, value)) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def group_words(group: GroupRecord) -> str:
    """A group of a bank in one line."""
    return (
        f"{group.id} {group.label.replace('_', ' ')}: {group.frames} frames ({100 * group.share:.1f} %), "
        f"{described_place(group_place(group))}"
    )


def bank_facts(bank: Bank, version: str, size_bytes: int, *, interval_ratio_limit: float) -> dict[str, object]:
    """What a bank was built from and decides by; its threshold is provisional while less certain than the limit."""
    manifest, frames = bank.manifest, len(bank.calibration_scores)
    counted = len(bank.threshold_scores)
    doubt = why_uncertain(manifest.threshold, frames=counted, interval_ratio_limit=interval_ratio_limit)
    return {
        "version": version,
        "view": manifest.view,
        "created_at": manifest.created_at,
        "frames": frames,
        "labelled_frames": manifest.labelled_frames,
        "skipped_frames": manifest.skipped_frames,
        "patches": len(bank.vectors),
        "dimension": manifest.dimension,
        "graph": f"{manifest.graph_name} {short_version(manifest.graph_hash)}",
        "input": f"{manifest.geometry.width_px} x {manifest.geometry.height_px} px, {manifest.geometry.mode}",
        "features": manifest.features,
        "input_choice": _choice_words(manifest.input_choice),
        "frame_px": f"{manifest.frame_px.width_px} x {manifest.frame_px.height_px}",
        "detection": None if manifest.detection is None else manifest.detection.model_dump(mode="json"),
        "threshold": manifest.threshold.value,
        "threshold_low": manifest.threshold.interval_low,
        "threshold_high": manifest.threshold.interval_high,
        "threshold_doubt": doubt,
        "threshold_rule": manifest.threshold.rule,
        "false_reject_ratio": manifest.threshold.false_reject_ratio,
        "groups": [_group_facts(group) for group in manifest.groups],
        "golden_right": manifest.golden.right,
        "golden_wrong": manifest.golden.wrong,
        "tells_no_part": manifest.no_part_limit is not None,
        "own_metric": bank.metric is not None,
        "least_position_weight": None if bank.position_weights is None else float(bank.position_weights.min()),
        "noise_estimate": manifest.noise_estimate,
        "parent": manifest.parent,
        "size_bytes": size_bytes,
    }


def _choice_words(choice: InputChoice | None) -> list[str]:
    """What was tried, the chosen one first, and what each saw of planted defects; then what limited it."""
    if choice is None:
        return []
    tried = [
        f"{each.geometry.width_px} x {each.geometry.height_px} px {each.features}: {100 * each.seen_ratio:.0f} % seen"
        for each in choice.trials
    ]
    if (cost := choice.cost) is None:
        return tried
    taken = f"{1000 * cost.frame_seconds:.3g} ms a frame at {cost.frames_per_second:.3g} frames/s"
    return [*tried, f"up to {cost.most_input_px} px of input: {taken}"]


def detection_words(curve: DetectionCurve | None, frame_px: FrameSizes, *, field_of_view_mm: float | None) -> str:
    """How small a planted defect the bank finds nine times in ten, in pixels of the frame and in mm where known."""
    if curve is None:
        return "not measured"
    per_px = None if field_of_view_mm is None else field_of_view_mm / frame_px.width_px

    def length(size_px: float | None) -> str:
        if size_px is None:
            return f"more than {curve.largest_px:.0f} px"
        return f"{size_px:.0f} px" + (f" ({size_px * per_px:.2g} mm)" if per_px else "")

    found = f"{curve.found} of {curve.planted} planted defects found"
    interval = f"{length(curve.a90_low_px)} to {length(curve.a90_high_px)}"
    return f"{found}; nine of ten from {length(curve.a90_px)} on ({interval}), one of two from {length(curve.a50_px)}"


def _group_facts(group: GroupRecord) -> dict[str, object]:
    facts = group.model_dump(mode="json", exclude={"members"})
    return {**facts, "place": described_place(group_place(group))}
