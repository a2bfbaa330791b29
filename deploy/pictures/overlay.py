"""A scored picture under its heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.pictures.annotated_frame import boxed, heated

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from deploy.offline.score_image import ScoredImage


def render_overlay(scored: ScoredImage) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in gray under its heat map, with a box around each region above the threshold, RGB."""
    hot = boxed(heated(scored.image, scored.heat), [box for box, _ in scored.regions], (1.0, 1.0))
    return scored.geometry.outlined(hot, (hot.shape[1], hot.shape[0]))
