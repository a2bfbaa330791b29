"""Where a frame is suspicious: patch scores over the threshold, for every pixel of the frame as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from softpatch.scoring.score import anomaly_map

if TYPE_CHECKING:
    from jaxtyping import Float32

    from ingest.decision import Decision
    from softpatch.images.geometry import Geometry


def decision_heat(decision: Decision, geometry: Geometry, source_wh: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Score ratio of every pixel of the frame; 0 where the network did not look, or there is no score."""
    if decision.anomaly_map is None or decision.threshold is None:
        return np.zeros(source_wh[::-1], np.float32)
    ratios = (decision.anomaly_map.scores() / decision.threshold).astype(np.float32)
    on_input = anomaly_map(ratios, height_px=geometry.height_px, width_px=geometry.width_px)
    return on_source(on_input, geometry, source_wh)


def on_source(
    on_input: Float32[np.ndarray, "height width"], geometry: Geometry, source_wh: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """A map of the network's input, laid back on the frame it came from."""
    place = geometry.placement(source_wh)
    x_scale, y_scale = place.width_px / source_wh[0], place.height_px / source_wh[1]
    # Pixel centres: source x lies at (x + 0.5) * scale + left - 0.5 of the input.
    to_input = np.array(
        [
            [x_scale, 0, 0.5 * x_scale + place.left_px - 0.5],
            [0, y_scale, 0.5 * y_scale + place.top_px - 0.5],
        ],
        np.float32,
    )
    inside = cv2.BORDER_REPLICATE if geometry.mode != "crop" else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(on_input, to_input, source_wh, flags=flags, borderMode=inside), np.float32)
