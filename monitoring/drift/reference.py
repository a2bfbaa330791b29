"""What a view looked like when its bank was built, in the units of decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.observation import MEASURED

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64

    from softpatch.bank import Bank

GRAY_LEVELS = 255.0
NEIGHBOUR = 5
"""The rank of the neighbour that novelty is measured to: beyond bursts of near-identical frames in the window."""
FEWEST_FRAMES = 2 * NEIGHBOUR

QUANTITIES = (*MEASURED, "novelty")
"""What is compared frame by frame: what decisions measure, and how far a sketch is from all of the window's."""


class TooFewCalibrationFrames(ValueError):
    """The bank was calibrated on too few frames to measure drift by."""


@dataclass(frozen=True)
class Reference:
    """The bank's calibration frames.

    `values[:, j]` is QUANTITIES[j] of each frame; in `ordered` every column is sorted for itself. `still` is the
    distance of sketches below which two frames show the same instant: half the least of any two there.
    `threshold` is the one in force, in the bank's units, `frame_wh` the size in pixels of most of its frames.
    """

    values: Float64[np.ndarray, "frames 7"]
    ordered: Float64[np.ndarray, "frames 7"]
    sketches: Float64[np.ndarray, "frames 32"]
    still: float
    threshold: float
    frame_wh: tuple[int, int] | None = None


def reference_of(
    scores: Float[np.ndarray, "frames"],
    statistics: Float[np.ndarray, "frames 5"],
    sketches: Float[np.ndarray, "frames 32"],
    *,
    threshold: float,
) -> Reference:
    """The reference of calibration frames; statistics in the units and order of a decision's picture facts.

    Raises TooFewCalibrationFrames: name the view's `first_build_frames` as the cure.
    """
    if len(scores) < FEWEST_FRAMES:
        raise TooFewCalibrationFrames(
            f"drift needs a bank calibrated on {FEWEST_FRAMES} frames and this one has {len(scores)}: "
            "raise first_build_frames"
        )
    sketches = np.asarray(sketches, np.float64)
    distances = np.sort(_distances(sketches), axis=1)  # column 0 is the frame itself
    values = np.column_stack([scores, statistics, distances[:, NEIGHBOUR]]).astype(np.float64)
    return Reference(values, np.sort(values, axis=0), sketches, float(distances[:, 1].min()) / 2, threshold)


def reference_of_bank(bank: Bank, *, threshold: float) -> Reference:
    """The reference of a bank, its statistics in a decision's units: gray levels for brightness and contrast.

    Calibration frames without a part are left out, as decisions on such frames are.
    """
    kept = _with_a_part(bank)
    statistics = bank.calibration_statistics[kept] * np.array([GRAY_LEVELS, GRAY_LEVELS, 1, 1, 1])
    scores, sketches = bank.calibration_scores[kept], bank.calibration_sketches[kept]
    found, size = reference_of(scores, statistics, sketches, threshold=threshold), bank.manifest.frame_px
    return replace(found, frame_wh=(size.width_px, size.height_px))


def _with_a_part(bank: Bank) -> Bool[np.ndarray, "frames"]:
    """Which calibration frames a person has not said to show no part."""
    groups = bank.manifest.groups
    empty = {name for group in groups if group.label == "no_part" for name in group.members}
    names = bank.manifest.frame_names[: len(bank.calibration_scores)]
    return np.array([name not in empty for name in names], bool)


def novelty(sketch: Float64[np.ndarray, "32"], reference: Reference) -> float:
    """Distance of a sketch to the fifth nearest of the window's: large where the frame shows something unknown.

    A frame of the window is compared with the others only, so that both kinds of frame are ranked alike.
    """
    apart = reference.sketches - sketch
    squared = np.einsum("ij,ij->i", apart, apart)
    return float(np.sqrt(np.partition(squared, NEIGHBOUR - 1)[NEIGHBOUR - 1]))


def _distances(sketches: Float64[np.ndarray, "frames 32"]) -> Float64[np.ndarray, "frames frames"]:
    return np.stack([np.sqrt(np.square(sketches - one).sum(axis=1)) for one in sketches])
