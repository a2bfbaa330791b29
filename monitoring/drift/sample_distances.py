"""How far a sample of one quantity is from another: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

TERMS = np.arange(1, 21)
"""Of the series for the p-value: each is used where the sixth is below 1e-15."""
SERIES_MEET = 1.0


def kolmogorov_smirnov(ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]) -> tuple[float, float]:
    """Largest difference of the two empirical distributions, and its asymptotic p-value. `ordered` is sorted."""
    below, above = _distributions(ordered, sample)
    distance = float(np.abs(below - above).max())
    effective = len(ordered) * len(sample) / (len(ordered) + len(sample))
    return distance, kolmogorov_survival(float(np.sqrt(effective) * distance))


def kolmogorov_survival(value: float) -> float:
    """The chance that Kolmogorov's statistic exceeds a value, by the series that converges at once there.

    Feller, "On the Kolmogorov-Smirnov limit theorems for empirical distributions", 1948, equations 1.4 and 1.5.
    """
    if value <= 0:
        return 1.0
    if value < SERIES_MEET:
        odd = 2 * TERMS - 1
        return float(1 - np.sqrt(2 * np.pi) / value * np.exp(-((odd * np.pi / value) ** 2) / 8).sum())
    return float(2 * ((-1.0) ** (TERMS - 1) * np.exp(-2 * (TERMS * value) ** 2)).sum())


def wasserstein(ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]) -> float:
    """Area between the two empirical distributions: how far the mean frame moved, in the quantity's own unit."""
    ours, theirs = _distributions(ordered, sample)
    steps = np.diff(np.sort(np.concatenate([ordered, sample])))
    return float(np.abs(ours - theirs)[:-1] @ steps)


def _distributions(
    ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]
) -> tuple[Float64[np.ndarray, "both"], Float64[np.ndarray, "both"]]:
    """Both empirical distribution functions at every value of either sample, in rising order."""
    at = np.sort(np.concatenate([ordered, sample]))
    return (
        np.searchsorted(ordered, at, side="right") / len(ordered),
        np.searchsorted(np.sort(sample), at, side="right") / len(sample),
    )
