"""What a decision shows of a frame's score: regions, a small map, where the nearest bank patch was learnt, a sketch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.decide import ScoreEvidence
from ingest.decision import DefectRegion, NearestPatch, SmallMap
from softpatch.network.sketch import sketch_of_mean
from softpatch.scoring.score import regions_within

if TYPE_CHECKING:
    import numpy as np

    from inference.banks import Serving
    from inference.line_change import GridBox
    from softpatch.bank import Bank
    from softpatch.network.embed import Embedder
    from softpatch.scoring.score import FrameScore

MAX_REGIONS = 32
"""The worst ones: a frame of confetti must not make a message of a megabyte."""


def evidence_of(
    found: FrameScore,
    mean_patch: np.ndarray,
    serving: Serving,
    embedder: Embedder,
    *,
    no_part: bool,
    source_wh: tuple[int, int],
) -> ScoreEvidence:
    """The evidence of one frame; `mean_patch` is the float32 [d] of its embedding, `source_wh` its size as it came."""
    return ScoreEvidence(
        score=found.score,
        worst_patch=found.worst_position,
        no_part=no_part,
        provider=embedder.provider,
        precision=embedder.precision,
        regions=_defect_regions(found, serving, source_wh),
        anomaly_map=SmallMap.of(found.patch_scores),
        nearest=_nearest(found, serving),
        sketch=tuple(sketch_of_mean(mean_patch, embedder.graph_hash).tolist()),
    )


def _defect_regions(found: FrameScore, serving: Serving, source_wh: tuple[int, int]) -> tuple[DefectRegion, ...]:
    """Boxes in pixels of the frame as it came. The full-size map is only made where something exceeds the threshold."""
    threshold = serving.in_force.limits.threshold
    if not found.score > threshold:
        return ()
    geometry = serving.bank.manifest.geometry
    exceeding = serving.scorer.exceeding(
        found.patch_scores, threshold, height_px=geometry.height_px, width_px=geometry.width_px
    )
    worst_first = regions_within(found.patch_scores, exceeding, threshold)[:MAX_REGIONS]
    return tuple(
        DefectRegion(box_xyxy_px=geometry.source_box(each.box_xyxy, source_wh), peak_ratio=each.peak / threshold)
        for each in worst_first
    )


def source_box_of(grid_box: GridBox, bank: Bank, source_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """The pixels of a frame as it came that a box on the bank's grid of patches covers."""
    geometry, (rows, columns) = bank.manifest.geometry, bank.manifest.grid
    top, bottom = (edge * geometry.height_px // rows for edge in grid_box[::2])
    left, right = (edge * geometry.width_px // columns for edge in grid_box[1::2])
    return geometry.source_box((left, top, right, bottom), source_wh)


def _nearest(found: FrameScore, serving: Serving) -> NearestPatch:
    row = found.nearest_row[found.worst_position]
    bank = serving.bank
    return NearestPatch(
        source_frame=bank.manifest.frame_names[bank.source_frame[row]],
        row=int(bank.source_position[row, 0]),
        column=int(bank.source_position[row, 1]),
    )
