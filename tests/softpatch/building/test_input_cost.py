"""What a frame is said to cost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from softpatch.building.input_cost import frame_seconds
from softpatch.images.geometry import Geometry
from softpatch.scoring.search import BruteSearch, FrameOfRow, Nearest, TwoFrameNearest
from softpatch.settings import BuildSettings
from tests.softpatch.random_embeddings import MeanColours

GEOMETRY = Geometry(height_px=32, width_px=32)


class Work:
    """A clock that goes on by what is done: a run of the network 1, a search for one frame 10, for two 100."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


def cost(settings: BuildSettings, frames: int) -> float:
    """Of frames of noise."""
    work = Work()

    class Embedder(MeanColours):
        def embed(self, frames: np.ndarray) -> np.ndarray:
            work.seconds += 1
            return super().embed(frames)

    class Search(BruteSearch):
        def nearest(self, queries: np.ndarray) -> Nearest:
            work.seconds += 10
            return super().nearest(queries)

        def nearest_two_frames(self, queries: np.ndarray, frames: FrameOfRow) -> TwoFrameNearest:
            work.seconds += 100
            return super().nearest_two_frames(queries, frames)

    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(frames)]
    sample = [cv2.imencode(".png", each)[1].tobytes() for each in noise]
    return frame_seconds(sample, Embedder(), GEOMETRY, settings, clock=work, max_pixels=10**6, make_search=Search)


@pytest.mark.parametrize("frames", [1, 4, 9])
@pytest.mark.parametrize(("second_frame_ratio", "expected"), [(0.85, 101), (0.0, 11)])
def test_a_frame_costs_what_it_takes_alone(frames: int, second_frame_ratio: float, expected: float) -> None:
    """One run of the network and one search of the kind that scores it, however many frames are measured."""
    settings = BuildSettings(coreset_cap=40, second_frame_ratio=second_frame_ratio)
    assert cost(settings, frames) == expected


def test_frames_that_nobody_can_decode_cost_nothing() -> None:
    """There is nothing to measure."""
    assert frame_seconds(
        [b"no picture"],
        MeanColours(),
        GEOMETRY,
        BuildSettings(),
        clock=Work(),
        max_pixels=10**6,
        make_search=BruteSearch,
    ) == pytest.approx(0)
