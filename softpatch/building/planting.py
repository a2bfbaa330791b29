"""Defects planted into frames of the window, scored by the bank as it would be without each frame's block of time."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.building.cross_fit import bank_without
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.planted_defects import DEFECTS_A_FRAME, KINDS, PlantedDefect, plant
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.window import Window
from softpatch.images.geometry import FrameGeometry, Geometry, box_cells
from softpatch.network.embed import Embedder

SMALLEST_SHARE, LARGEST_SHARE = 0.02, 0.3
"""Of the frame's shorter side: sizes are drawn evenly over the log between these."""

_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class PlantedScores:
    """What was planted, and the highest patch score at its place: the frame scores that, or more."""

    defects: tuple[PlantedDefect, ...]
    scores: Float32[np.ndarray, "plants"]


@dataclass(frozen=True)
class PlantedFrame:
    """A frame with defects in it, as the network sees it; `size_wh` in pixels is that of the frame as it came."""

    size_wh: tuple[int, int]
    on_input: UInt8[np.ndarray, "height width 3"]
    defects: tuple[PlantedDefect, ...]


@dataclass(frozen=True)
class _Task:
    frame: int
    number: int


def planted_scores(
    frames: Sequence[bytes],
    window: Window,
    fitted: Fit,
    embedder: Embedder,
    geometry: FrameGeometry,
    *,
    passing: Sequence[int],
    plants: int,
    make_search: SearchMaker,
    pool: Executor,
    progress: BuildProgress = silent,
) -> PlantedScores:
    """Plants at least that many defects, spread evenly over these frames, which pass as they are, and scores each.

    Where regions leave part of a frame out, none lies there, and there are fewer.

    The same frames, number and seed give the same defects, whatever the geometry and the features: banks compare.
    """
    count = -(-plants // DEFECTS_A_FRAME) if passing else 0
    tasks = [
        _Task(passing[round(i)], number) for number, i in enumerate(np.linspace(0, len(passing) - 1, count).tolist())
    ]
    seed = fitted.settings.seed
    found: dict[int, tuple[PlantedFrame, list[float]]] = {}

    def planted(one: _Task) -> PlantedFrame:
        return planted_frame(frames[window.frames.sources[one.frame]], geometry, number=one.number, seed=seed)

    for number, members in _by_block(tasks, fitted.blocks).items():
        scorer = bank_without(number, fitted).scorer(make_search)
        for start in range(0, len(members), _FRAMES_AT_ONCE):
            some = members[start : start + _FRAMES_AT_ONCE]
            ready = list(pool.map(planted, some))
            scored = scorer.score(embedder.embed(np.stack([each.on_input for each in ready])))
            for one, each, frame in zip(some, ready, scored, strict=True):
                found[one.number] = each, highest_scores(frame.patch_scores, each, geometry)
            progress("plant", len(found), len(tasks))
    in_order = [found[number] for number in sorted(found)]
    return PlantedScores(
        defects=tuple(defect for each, _ in in_order for defect in each.defects),
        scores=np.array([score for _, scores in in_order for score in scores], np.float32),
    )


def planted_frame(encoded: bytes, geometry: FrameGeometry, *, number: int, seed: int) -> PlantedFrame:
    """The frame with a defect in each quarter, drawn for its number: kinds in turn, sizes evenly over the log."""
    rng = np.random.default_rng((seed, 31, number))
    image = geometry.decode(encoded, max_pixels=None)
    size_wh = image.shape[1], image.shape[0]
    shares = np.exp(rng.uniform(np.log(SMALLEST_SHARE), np.log(LARGEST_SHARE), DEFECTS_A_FRAME))
    kinds = [KINDS[(number + quarter) % len(KINDS)] for quarter in range(DEFECTS_A_FRAME)]
    sizes_px = (shares * min(size_wh)).tolist()
    marked, defects = plant(image, kinds, sizes_px, rng=rng, inspected=geometry.inspected_source(size_wh))
    return PlantedFrame(size_wh, geometry.apply(marked), defects)


_AROUND = np.ones((3, 3), np.uint8)
"""A patch sees, and is averaged with, its neighbours: a defect's highest patch may lie beside it."""


def highest_scores(patch_scores: Float32[np.ndarray, "p q"], planted: PlantedFrame, geometry: Geometry) -> list[float]:
    """The highest patch score on or next to each defect."""
    width, height = planted.size_wh
    scores = []
    for defect in planted.defects:
        x0, y0, x1, y1 = defect.box_xyxy
        share = (x0 / width, y0 / height, x1 / width, y1 / height)
        cells = box_cells(share, geometry=geometry, grid=patch_scores.shape, frame_wh=planted.size_wh)
        near = cv2.dilate(cells.astype(np.uint8), _AROUND) > 0
        scores.append(float(patch_scores[near].max(initial=0)))
    return scores


def _by_block(tasks: Sequence[_Task], blocks: Sequence[range]) -> Mapping[int, list[_Task]]:
    """The tasks of each block that has some, by the block's number."""
    members = {number: [one for one in tasks if one.frame in block] for number, block in enumerate(blocks)}
    return {number: some for number, some in members.items() if some}
