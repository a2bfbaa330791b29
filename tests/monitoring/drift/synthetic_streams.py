"""Made-up lines: windows and streams of observations from a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.detector import Baseline, DriftState, follow
from monitoring.drift.observation import Observation
from monitoring.drift.reference import Reference, reference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

THRESHOLD = 30.0
MEANS = np.array([20.0, 120.0, 40.0, 10.0, 0.02, 0.01])
SPREADS = np.array([2.0, 3.0, 1.5, 0.5, 0.004, 0.002])


def frames(rng: np.random.Generator, count: int, *, defects: float = 0.02) -> Iterator[Observation]:
    """An undisturbed line: every frame a new one, some defective."""
    for _ in range(count):
        values = np.abs(rng.normal(MEANS, SPREADS))
        values[0] += 20.0 * (rng.random() < defects)
        yield Observation(values, rng.normal(0, 1, 32), f"{rng.integers(2**63):016x}")


def window(rng: np.random.Generator, count: int = 300, *, defects: float = 0.02) -> Reference:
    """What a bank learnt of that line."""
    seen = list(frames(rng, count, defects=defects))
    values, sketches = np.stack([one.values for one in seen]), np.stack([one.sketch for one in seen])
    return reference_of(values[:, 0], values[:, 1:], sketches, threshold=THRESHOLD)


def darker(frame: Observation, gain: float = 0.85) -> Observation:
    """The frame under a weaker lamp."""
    return replace(frame, values=frame.values * np.array([1, gain, gain, gain, 1, 1]), sketch=frame.sketch * gain + 2)


def blurred(frame: Observation) -> Observation:
    """The frame through a lens out of focus."""
    return replace(frame, values=frame.values * np.array([2, 1, 0.95, 0.3, 1, 1]), sketch=frame.sketch + 3)


def other_product(frame: Observation) -> Observation:
    """A part that the window does not hold, under the same lamp."""
    return replace(frame, values=frame.values * np.array([1.4, 1.01, 0.9, 0.9, 1, 1]), sketch=frame.sketch + 3)


def dusty(frame: Observation) -> Observation:
    """The frame with a speck on the lens: its score is high, and nothing else of it says much."""
    return replace(frame, values=frame.values * np.array([1.8, 1, 1, 1, 1, 1]))


def followed(state: DriftState, stream: Iterable[Observation], baseline: Baseline) -> DriftState:
    """The state at the first episode, or after the last frame."""
    for one in stream:
        state = follow(state, one, baseline)
        if state.episode is not None:
            return state
    return state
