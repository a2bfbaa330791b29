"""A network in 8-bit integers from a folder of a line's pictures, and what it does to their verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from deploy.chosen_network import graph_of
from softpatch.building.frame_reading import frame_reading
from softpatch.building.input_choice import choose_input
from softpatch.building.trial_bank import trial_scores
from softpatch.building.window import TooFewFrames
from softpatch.images.decode import UndecodableImage
from softpatch.images.folders import read_folder
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.quantize import quantised
from softpatch.scoring.search import FlatSearch
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import UInt8

    from deploy.settings import Settings
    from softpatch.building.input_choice import ChosenInput
    from softpatch.building.trial_bank import TrialScores
    from softpatch.network.graph import Graph

Step = Callable[[str], AbstractContextManager[None]]
"""Shows what is being done while it is."""

MEASURED_FRAMES = 32
"""By which the layers are measured, at most: every third picture, and none of those that judge."""

JUDGED_FRAMES = 120
FEWEST_FRAMES = 30

ALONE_FRAMES, TOGETHER_FRAMES = 5, 16


@dataclass(frozen=True)
class VerdictChanges:
    """Of pictures, and of defects planted into them: how many are decided otherwise, and how they rank.

    `found` are the planted defects above the threshold in fp32 and in int8, `rank_correlation` is over the scores of
    pictures and planted defects (Spearman's).
    """

    frames: int
    frames_changed: int
    plants: int
    plants_changed: int
    found: tuple[int, int]
    rank_correlation: float

    @property
    def changed_ratio(self) -> float:
        """The larger of the two shares that are decided otherwise."""
        return max(self.frames_changed / max(1, self.frames), self.plants_changed / max(1, self.plants))


@dataclass(frozen=True)
class FrameMilliseconds:
    """What a frame takes the network, alone on all cores, and among sixteen that come together."""

    alone: float
    together: float


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """The network in integers, and how it compares with the one in fp32 on the pictures that did not measure it.

    `embedding_error` is the mean length of an embedding's change, as a share of their root mean square length.
    """

    graph: Graph
    chosen: ChosenInput
    embedding_error: float
    verdicts: VerdictChanges
    fp32: FrameMilliseconds
    int8: FrameMilliseconds


def quantise_for_folder(folder: Path, settings: Settings, *, view: str, step: Step) -> QuantisedNetwork:
    """Quantise the settings' network by a third of the folder's pictures, and judge it by the others.

    Raises:
        NoImages: there are none.
        TooFewFrames: there are too few that can be decoded.
        CannotQuantise: this network cannot compute in integers.
    """
    encoded = [image.path.read_bytes() for image in read_folder(folder).train]
    if len(encoded) < FEWEST_FRAMES:
        raise TooFewFrames(f"{len(encoded)} pictures, and {FEWEST_FRAMES} are needed to measure a network and judge it")
    measure = _spread(encoded[::3], MEASURED_FRAMES)
    judge = _spread([frame for place, frame in enumerate(encoded) if place % 3], JUDGED_FRAMES)
    threads, max_pixels = settings.runtime.threads, settings.images.max_pixels
    build, graph = settings.training_of(view).build_settings, graph_of(settings.runtime)
    whole = OnnxEmbedder.open(graph, provider="cpu", threads=threads)
    with ThreadPoolExecutor(threads or available_cores(), "quantise") as pool:
        make_search = partial(FlatSearch, threads=threads)
        trial = partial(trial_scores, judge, max_pixels=max_pixels, make_search=make_search, pool=pool)
        with step("Choosing the input"):
            reading = frame_reading(judge, build, (), earlier_depth=None)
            chosen = choose_input(
                judge,
                whole,
                build,
                reading=reading,
                earlier=None,
                max_pixels=max_pixels,
                make_search=make_search,
                pool=pool,
            )
        measured = _shaped(measure, chosen, max_pixels=max_pixels)
        with step("Measuring and rounding the layers"):
            integers = quantised(graph, measured, seed=build.seed)
        fp32 = whole.with_features(chosen.features)
        int8 = OnnxEmbedder.open(integers, provider="cpu", threads=threads).with_features(chosen.features)
        with step("Judging by the network in fp32"):
            before = trial(fp32, chosen.geometry, build)
        with step("Judging by the network in int8"):
            now = trial(int8, chosen.geometry, build, passing=before.passing)
    with step("Measuring error and speed"):
        held_out = _shaped(_spread(judge, TOGETHER_FRAMES), chosen, max_pixels=max_pixels)
        error = _embedding_error(fp32.embed(held_out), int8.embed(held_out))
        in_fp32, in_int8 = _milliseconds([fp32, int8], held_out)
    changes = verdict_changes(before, now, build.false_reject_ratio)
    return QuantisedNetwork(integers, chosen, error, changes, in_fp32, in_int8)


def verdict_changes(before: TrialScores, now: TrialScores, false_reject_ratio: float) -> VerdictChanges:
    """Each judged by the threshold of its own network."""
    limits = [each.limit(false_reject_ratio) for each in (before, now)]
    scores = [np.concatenate([each.frames, each.plants]) for each in (before, now)]
    first, second = (each.argsort().argsort().astype(np.float64) for each in scores)
    frames = [each.frames > limit for each, limit in zip((before, now), limits, strict=True)]
    plants = [each.plants > limit for each, limit in zip((before, now), limits, strict=True)]
    return VerdictChanges(
        frames=len(frames[0]),
        frames_changed=int((frames[0] != frames[1]).sum()),
        plants=len(plants[0]),
        plants_changed=int((plants[0] != plants[1]).sum()),
        found=(int(plants[0].sum()), int(plants[1].sum())),
        rank_correlation=float(np.corrcoef(first, second)[0, 1]),
    )


def _spread(frames: Sequence[bytes], most: int) -> list[bytes]:
    """So many of them at most, evenly."""
    return [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(most, len(frames)))]


def _shaped(frames: Sequence[bytes], chosen: ChosenInput, *, max_pixels: int) -> UInt8[np.ndarray, "n h w 3"]:
    """As the network is given them; those that cannot be decoded are left out."""
    shaped = []
    for frame in frames:
        try:
            shaped.append(chosen.geometry.apply(chosen.geometry.decode(frame, max_pixels=max_pixels)))
        except UndecodableImage:
            continue
    if not shaped:
        raise TooFewFrames("no picture can be decoded")
    return np.stack(shaped)


def _embedding_error(before: np.ndarray, now: np.ndarray) -> float:
    length = np.sqrt(np.square(before).sum(axis=-1).mean())
    return float(np.linalg.norm(now - before, axis=-1).mean() / length)


def _milliseconds(embedders: Sequence[OnnxEmbedder], frames: UInt8[np.ndarray, "n h w 3"]) -> list[FrameMilliseconds]:
    """Medians, in turns."""
    alone: list[list[float]] = [[] for _ in embedders]
    together: list[list[float]] = [[] for _ in embedders]
    for turn in range(ALONE_FRAMES + 1):
        for which, embedder in enumerate(embedders):
            for batch, kept in ((frames[:1], alone[which]), (frames, together[which])):
                begun = time.perf_counter()
                embedder.embed(batch)
                if turn:  # the first one of a size is slower
                    kept.append(1000 * (time.perf_counter() - begun) / len(batch))
    return [FrameMilliseconds(median(one), median(many)) for one, many in zip(alone, together, strict=True)]
