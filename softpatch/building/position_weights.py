"""How much a patch score counts at each position of the grid: less where good frames often have their highest.

Edges that move a little, a reflection or a sharp corner give good frames their highest scores at the same few
positions, and the threshold must lie above them everywhere. Weighed, good frames exceed it no more often there.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.bank import counted_scores
from softpatch.building.fit import Fit
from softpatch.calibration.extreme_value import TINY

REACH = 0.07
"""Sigma of the Gaussian that spreads each frame's highest position, over the geometric mean of the grid's sides."""

UNIFORM = 3.0
"""How many times the frames' own number is added to them, spread evenly: a few frames at one position say little."""

LEFT_OUT = 0.1
"""Of the frames learnt, those that score most are not counted: most defects are in them."""

FEWEST_FRAMES = 100
"""Of fewer frames that count, a handful makes a density: in a simulated fortnight, whose windows hold 90, a faint mark
about the threshold was missed for a weight of 0.92 at its place."""

SCATTERED, CONCENTRATED = 0.25, 0.35
"""Concentration up to which all positions count alike, and from which on the whole power is used. It is the mean log of
the density that the other frames have where a frame's highest score is: 0.37 to 0.52 on ball screws, where weights find
0.14 more of all defects, and 0.04 to 0.15 on lines where they find fewer."""


@dataclass(frozen=True)
class CrossFitScores:
    """What each frame of the window scores: by all its patches, and by those that count though it is not learnt.

    `elsewhere` is 0 for a frame that counts whole, or not at all.
    """

    whole: Float32[np.ndarray, "frames"]
    elsewhere: Float32[np.ndarray, "frames"]

    def counted(self, excluded: Bool[np.ndarray, "frames"]) -> Float32[np.ndarray, "counted"]:
        """Those that a threshold is drawn from; `excluded` frames are not learnt."""
        return counted_scores(self.whole, excluded, self.elsewhere)


def weigh_positions(fitted: Fit, patch_scores: Float32[np.ndarray, "frames p q"]) -> tuple[Fit, CrossFitScores]:
    """The fit, with position weights where they help, and the frames' scores, from all frames' cross-fitted ones.

    Each frame's score is by the weights as they would be without its block of time. Where parts lie turned and shifted
    a position means nothing: there are none.
    """
    weighed, scores = _weighed(fitted, patch_scores)
    places = fitted.labels.elsewhere
    elsewhere = np.zeros(len(scores), np.float32)
    for row in np.flatnonzero(places.any(axis=(1, 2))).tolist():
        elsewhere[row] = max(scores[row][places[row]].max(), TINY)  # 0 would not count
    return weighed, CrossFitScores(scores.max(axis=(1, 2)), elsewhere)


def _weighed(
    fitted: Fit, patch_scores: Float32[np.ndarray, "frames p q"]
) -> tuple[Fit, Float32[np.ndarray, "frames p q"]]:
    """The fit and all patch scores by its weights, where it has any."""
    highest = patch_scores.max(axis=(1, 2))
    learnt = ~fitted.labels.not_learnt
    counted = learnt & (highest > 0) & (highest <= np.quantile(highest[learnt], 1 - LEFT_OUT))
    if not fitted.mask.aligned or counted.sum() < FEWEST_FRAMES:
        return fitted, patch_scores
    places = patch_scores.reshape(len(patch_scores), -1).argmax(axis=1)
    found = _Highest(places, counted, fitted.bank.ignored, patch_scores.shape[1:])
    without = [found.density_without(block) for block in fitted.blocks]
    logs = [np.log(density.flat[found.of(block)]) for density, block in zip(without, fitted.blocks, strict=True)]
    concentration = float(np.concatenate(logs).mean())
    part = np.clip((concentration - SCATTERED) / (CONCENTRATED - SCATTERED), 0, 1)
    power = fitted.settings.position_power * float(part)
    if not power:
        return fitted, patch_scores
    parts = [
        patch_scores[block.start : block.stop] * density**-power
        for density, block in zip(without, fitted.blocks, strict=True)
    ]
    weights = found.density_without(range(0)) ** -power
    return replace(fitted, bank=replace(fitted.bank, position_weights=weights)), np.concatenate(parts)


@dataclass(frozen=True)
class _Highest:
    """Where each frame has its highest patch score, as an index into the flattened grid, and which frames count."""

    places: Int64[np.ndarray, "frames"]
    counted: Bool[np.ndarray, "frames"]
    ignored: Bool[np.ndarray, "p q"] | None
    grid: tuple[int, int]

    def of(self, frames: range) -> Int64[np.ndarray, "n"]:
        """The places of those that count."""
        return np.asarray(self.places[frames.start : frames.stop][self.counted[frames.start : frames.stop]])

    def density_without(self, block: range) -> Float32[np.ndarray, "p q"]:
        """How many frames outside the block have theirs about each position, over the mean of all positions."""
        others = self.counted.copy()
        others[block.start : block.stop] = False
        counts = np.bincount(self.places[others], minlength=self.grid[0] * self.grid[1]).reshape(self.grid)
        inspected = counts.size if self.ignored is None else int((~self.ignored).sum())
        mean = max(int(others.sum()), 1) / inspected
        sigma = REACH * float(np.sqrt(counts.size))
        spread = cv2.GaussianBlur(counts.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        return np.asarray((spread / mean + UNIFORM) / (1 + UNIFORM), np.float32)
