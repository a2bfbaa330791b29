"""A network in 8-bit integers from folders of lines' pictures, and what it does to their verdicts."""

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
from softpatch.building.trial_bank import thresholds, trial_scores
from softpatch.building.window import TooFewFrames
from softpatch.images.decode import UndecodableImage
from softpatch.images.folders import read_folder
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.quantize import quantised
from softpatch.scoring.bounded_search import cpu_search
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import UInt8

    from deploy.settings import Settings
    from softpatch.building.fitted_bank import SearchMaker
    from softpatch.building.input_choice import ChosenInput
    from softpatch.building.trial_bank import TrialScores
    from softpatch.network.graph import Graph
    from softpatch.settings import BuildSettings

Step = Callable[[str], AbstractContextManager[None]]
"""Shows what is being done while it is."""

MEASURED_FRAMES = 24
"""Of a folder, by which the layers are measured, at most: every third picture, and none of those that judge."""

JUDGED_FRAMES = 120
FEWEST_FRAMES = 30

ALONE_FRAMES, TOGETHER_FRAMES = 5, 16


@dataclass(frozen=True)
class VerdictChanges:
    """Of pictures, and of defects planted into them: how many are decided otherwise, and how they rank.

    `found` are the planted defects above the threshold in fp32 and in int8, `auroc` is that of planted defects against
    pictures in either, `rank_correlation` is over the scores of both (Spearman's).
    """

    frames: int
    frames_changed: int
    plants: int
    plants_changed: int
    found: tuple[int, int]
    auroc: tuple[float, float]
    rank_correlation: float

    @property
    def auroc_loss(self) -> float:
        """How much of it is lost in int8; below zero where it tells them better."""
        return self.auroc[0] - self.auroc[1]

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
class FolderTrial:
    """How both networks compare on the pictures of one line that did not measure the one in integers.

    `embedding_error` is the mean length of an embedding's change, as a share of their root mean square length.
    """

    folder: Path
    chosen: ChosenInput
    embedding_error: float
    verdicts: VerdictChanges
    fp32: FrameMilliseconds
    int8: FrameMilliseconds


@dataclass(frozen=True)
class QuantisedNetwork:
    """The network in integers, and its trial on each folder."""

    graph: Graph
    trials: tuple[FolderTrial, ...]

    @property
    def changed_ratio(self) -> float:
        """The largest share of a folder's pictures, or planted defects, that are decided otherwise."""
        return max(each.verdicts.changed_ratio for each in self.trials)

    @property
    def auroc_loss(self) -> float:
        """The largest of a folder's."""
        return max(each.verdicts.auroc_loss for each in self.trials)


def quantise_for_folders(folders: Sequence[Path], settings: Settings, *, view: str, step: Step) -> QuantisedNetwork:
    """Quantise the settings' network by a third of each folder's pictures, and judge it by the others.

    Raises:
        NoImages: there are none.
        TooFewFrames: there are too few that can be decoded.
        CannotQuantise: this network cannot compute in integers.
    """
    threads, graph = settings.runtime.threads, graph_of(settings.runtime)
    fp32 = OnnxEmbedder.open(graph, provider="cpu", threads=threads)
    with ThreadPoolExecutor(threads or available_cores(), "quantise") as pool:
        lines = []
        for folder in folders:
            with step(f"{folder.name}: choosing the input"):
                lines.append(_Line.of(folder, fp32, settings, view=view, pool=pool))
        with step("Measuring and rounding the layers"):
            measuring = [frame for line in lines for frame in line.shaped(line.measuring)]
            integers = quantised(graph, measuring, seed=lines[0].build.seed)
        int8 = OnnxEmbedder.open(integers, provider="cpu", threads=threads)
        trials = []
        for line in lines:
            with step(f"{line.folder.name}: judging"):
                trials.append(line.trial(fp32, int8))
    return QuantisedNetwork(integers, tuple(trials))


@dataclass(frozen=True, eq=False)
class _Line:
    """A folder's pictures, encoded: those that measure the layers, and those that judge."""

    folder: Path
    measuring: list[bytes]
    judging: list[bytes]
    chosen: ChosenInput
    build: BuildSettings
    max_pixels: int
    make_search: SearchMaker
    pool: ThreadPoolExecutor

    @classmethod
    def of(cls, folder: Path, fp32: OnnxEmbedder, settings: Settings, *, view: str, pool: ThreadPoolExecutor) -> _Line:
        """At the input that the settings say, or that the pictures choose."""
        encoded = [image.path.read_bytes() for image in read_folder(folder).train]
        if len(encoded) < FEWEST_FRAMES:
            raise TooFewFrames(
                f"{folder} has {len(encoded)} pictures; {FEWEST_FRAMES} are needed to measure a network and judge it"
            )
        judging = _spread([frame for place, frame in enumerate(encoded) if place % 3], JUDGED_FRAMES)
        build, max_pixels = settings.training_of(view).build_settings, settings.images.max_pixels
        make_search = partial(cpu_search, threads=settings.runtime.threads)
        chosen = choose_input(
            judging,
            fp32,
            build,
            reading=frame_reading(judging, build, (), earlier_depth=None),
            earlier=None,
            max_pixels=max_pixels,
            make_search=make_search,
            pool=pool,
        )
        measuring = _spread(encoded[::3], MEASURED_FRAMES)
        return cls(folder, measuring, judging, chosen, build, max_pixels, make_search, pool)

    def shaped(self, frames: Sequence[bytes]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """As the network is given them; those that cannot be decoded are left out."""
        shaped, geometry = [], self.chosen.geometry
        for frame in frames:
            try:
                shaped.append(geometry.apply(geometry.decode(frame, max_pixels=self.max_pixels)))
            except UndecodableImage:
                continue
        if not shaped:
            raise TooFewFrames(f"{self.folder} has no picture that can be decoded")
        return shaped

    def trial(self, fp32: OnnxEmbedder, int8: OnnxEmbedder) -> FolderTrial:
        """Both networks on the pictures that judge."""
        fp32, int8 = (each.with_features(self.chosen.features) for each in (fp32, int8))
        judged = partial(
            trial_scores,
            self.judging,
            geometry=self.chosen.geometry,
            settings=self.build,
            max_pixels=self.max_pixels,
            make_search=self.make_search,
            pool=self.pool,
        )
        before = judged(fp32)
        changes = verdict_changes(before, judged(int8, passing=before.passing), self.build.false_reject_ratio)
        some = np.stack(self.shaped(_spread(self.judging, TOGETHER_FRAMES)))
        error = _embedding_error(fp32.embed(some), int8.embed(some))
        return FolderTrial(self.folder, self.chosen, error, changes, *_milliseconds([fp32, int8], some))


def verdict_changes(before: TrialScores, now: TrialScores, false_reject_ratio: float) -> VerdictChanges:
    """Each judged by the threshold of its own network."""
    limits = [thresholds(each.frames, [false_reject_ratio])[0] for each in (before, now)]
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
        auroc=(_auroc(before), _auroc(now)),
        rank_correlation=float(np.corrcoef(first, second)[0, 1]),
    )


def _auroc(scores: TrialScores) -> float:
    """How often a planted defect scores above a picture, ties counted half."""
    above, alike = scores.plants[:, None] > scores.frames, scores.plants[:, None] == scores.frames
    return float(above.mean() + alike.mean() / 2)


def _spread(frames: Sequence[bytes], most: int) -> list[bytes]:
    """So many of them at most, evenly."""
    return [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(most, len(frames)))]


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
