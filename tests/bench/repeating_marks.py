"""Real lines with painted marks as embeddings kept on disk, and banks built from them by the steps of `build_bank`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from deploy.evaluation.array_file import write_array
from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.cross_fit import cross_fit
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import Fit, fit, nothing_upright
from softpatch.building.frame_reading import WHOLE_FRAMES
from softpatch.building.group_records import WHOLE_FRAME_SHARE
from softpatch.building.label_window import KnownLabels
from softpatch.building.labels import Exemplars, LabelledFrames
from softpatch.building.position_weights import weigh_positions
from softpatch.building.progress import silent
from softpatch.building.upright_frames import upright_frames
from softpatch.calibration.threshold import suggest
from softpatch.images.decode import MAX_PIXELS, decode
from softpatch.images.geometry import Geometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.scoring.search import FlatSearch
from softpatch.settings import FAST, BuildSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from softpatch.building.fit import UprightReading
    from softpatch.building.label_masks import LabelledGroup
    from softpatch.building.upright_frames import UprightFrames
    from softpatch.manifest import GroupLabel
    from softpatch.scoring.score import Scorer
    from softpatch.settings import GroupPolicy

FOLDERS = {
    "impeller": "casting/impeller",
    "ball_screw": "bsdata/ball_screw",
    "tile": "magnetic_tile/tile",
    "screw": "mvtec_ad/screw",
}

PLACES = {
    "impeller": ((0.20, 0.48), (0.50, 0.84), (0.81, 0.60)),
    "ball_screw": ((0.30, 0.33), (0.62, 0.52), (0.80, 0.30)),
    "tile": ((0.30, 0.30), (0.55, 0.62), (0.72, 0.40)),
}
"""Where the marks of a line are painted, as shares of width and height: pit, scratch, stain."""

SQUARE, WIDE_FRAMES = Geometry(height_px=448, width_px=448), Geometry(height_px=352, width_px=576)
AUTO = {
    "impeller": (SQUARE, "wide"),
    "ball_screw": (WIDE_FRAMES, "medium"),
    "tile": (SQUARE, "wide"),
    "screw": (SQUARE, "medium"),
    "simulated_ring": (SQUARE, "wide"),
}
"""What `geometry: auto` takes for 120 frames of each line."""

PIT, SCRATCH, STAIN = range(3)
MARK_NAMES = ("pit", "scratch", "stain", "small pit", "small scratch", "small stain")
SMALL = 0.7
"""Of the length and width of a mark, the second size of each kind."""
INPUT_PX, SUBPIXELS, BRIGHT, TESTED_FRAMES = 224, 16, 150, 60
FRAMES_AT_ONCE = 16


def kind_of(mark: int) -> int:
    """Pit, scratch or stain, of either size."""
    return mark % (STAIN + 1)


def painted(image: np.ndarray, mark: int, place: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """The picture with one mark, the same each time but for 1.5 px of the input and 5 % of brightness."""
    height, width = image.shape[:2]
    unit = np.array([width, height]) / INPUT_PX
    size = SMALL if mark > STAIN else 1.0
    x, y = np.array(place) * (width, height) + rng.uniform(-1.5, 1.5, 2) * unit
    (radius_x, radius_y, angle), strength, gray = {
        PIT: ((6, 6, 0), 0.9, 20),
        SCRATCH: ((16, 2, rng.normal(10, 2)), 0.9, 40 if image.mean() > BRIGHT else 235),
        STAIN: ((14, 10, 10), 0.7, 45),
    }[kind_of(mark)]
    mask = np.zeros((height, width), np.float32)
    centre = (int(x * SUBPIXELS), int(y * SUBPIXELS))
    axes = (int(radius_x * size * unit[0] * SUBPIXELS), int(radius_y * size * unit[1] * SUBPIXELS))
    cv2.ellipse(mask, centre, axes, angle, 0, 360, 1, -1, cv2.LINE_AA, 4)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.6 * unit.mean())[..., None] * strength
    gray = gray * (1 + rng.uniform(-0.05, 0.05))
    return np.clip(np.rint(image * (1 - mask) + gray * mask), 0, 255).astype(np.uint8)


def patterned(image: np.ndarray) -> np.ndarray:
    """The picture as a good variant: dark ribs over its left half."""
    height, width = image.shape[:2]
    ribs = 0.5 + 0.5 * np.sin(np.arange(height) * (2 * np.pi * 9 / height))
    fade = np.clip((0.5 - np.arange(width) / width) * 20, 0, 1)
    shade = 1 - 0.45 * ribs[:, None] * fade[None, :]
    return np.clip(np.rint(image * shade[..., None]), 0, 255).astype(np.uint8)


class EmbeddedPictures:
    """Embeddings of pictures by name, made once and kept in a folder, one file for all pictures of a name.

    `fast`: at 224 x 224 px with fine features; otherwise as `geometry: auto` has it.
    """

    def __init__(self, data: Path, cache: Path, *, fast: bool) -> None:
        self._data, self._cache, self._fast = data, cache, fast
        self._embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=1)

    def good(self, line: str, split: str, mark: int | None = None) -> np.ndarray:
        """Good pictures of a split, all with that mark where one is given."""
        name = "train" if split == "train" else "good"
        if mark is None:
            return self._kept(line, name, self._files(line, split, "good"), lambda _, image: image)
        files = self._files(line, split, "good")[: None if split == "train" else TESTED_FRAMES]
        seed = split != "train"
        place = PLACES[line][kind_of(mark)]
        paint = lambda i, image: painted(image, mark, place, np.random.default_rng([mark, i, seed]))  # noqa: E731
        return self._kept(line, f"{name}_p{mark}", files, paint)

    def patterned(self, line: str, split: str, kind: str) -> np.ndarray:
        """The first pictures of a split and kind as a good variant."""
        files = self._files(line, split, kind)[:TESTED_FRAMES]
        return self._kept(line, f"{split}_{kind}_variant", files, lambda _, image: patterned(image))

    def defective(self, line: str, kind: str | None = None) -> np.ndarray:
        """Real defects, of one kind or of all."""
        kinds = sorted(folder.name for folder in (self._data / FOLDERS[line] / "test").iterdir())
        files = [file for each in kinds if each != "good" for file in self._files(line, "test", each)]
        embeddings = self._kept(line, "defect", files, lambda _, image: image)
        return embeddings[[i for i, file in enumerate(files) if kind in (None, file.parent.name)]]

    def good_files(self, line: str) -> list[Path]:
        """The pictures of `good(line, "train")`, in its order."""
        return self._files(line, "train", "good")

    def defective_files(self, line: str, kind: str) -> list[Path]:
        """The pictures of `defective(line, kind)`, in its order."""
        return self._files(line, "test", kind)

    def upright(self, line: str, files: Sequence[Path]) -> UprightFrames | None:
        """Those pictures with all parts turned alike, as a build reads them; never kept: it depends on all of them."""
        geometry, features = self._input(line)
        rows, columns = self.good(line, "train").shape[1:3]
        with ThreadPoolExecutor(1) as pool:
            return upright_frames(
                [file.read_bytes() for file in files],
                WHOLE_FRAMES.of(geometry),
                self._embedder.with_features(features),
                grid=(rows, columns),
                max_pixels=MAX_PIXELS,
                pool=pool,
                progress=partial(silent, "upright"),
            )

    def embedding_seconds(self, line: str, frames: int = 40) -> float:
        """CPU seconds that one frame takes to decode and embed."""
        files = self._files(line, "train", "good")[:frames]
        begun = time.process_time()
        for file in files:
            self._embedded(line, decode(file.read_bytes()))
        return (time.process_time() - begun) / frames

    def drawn(self, line: str, encoded: Callable[[], Sequence[bytes]]) -> np.ndarray:
        """Pictures that are drawn where the folder lacks their embeddings."""
        path = self._path(line, "drawn")
        if not path.exists():
            write_array(path, np.stack([self._embedded(line, decode(each)) for each in encoded()]))
        return np.asarray(np.load(path, mmap_mode="r"))

    def _files(self, line: str, split: str, kind: str) -> list[Path]:
        return sorted((self._data / FOLDERS[line] / split / kind).iterdir())

    def _kept(
        self, line: str, name: str, files: Sequence[Path], change: Callable[[int, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        path = self._path(line, name)
        if not path.exists():
            images = (change(i, decode(file.read_bytes())) for i, file in enumerate(files))
            write_array(path, np.stack([self._embedded(line, image) for image in images]))
        return np.asarray(np.load(path, mmap_mode="r"))

    def _input(self, line: str) -> tuple[Geometry, str]:
        return (FAST, "fine") if self._fast else AUTO[line]

    def _path(self, line: str, name: str) -> Path:
        geometry, features = self._input(line)
        return self._cache / f"{line}_{name}_{geometry.width_px}x{geometry.height_px}_{features}.npy"

    def _embedded(self, line: str, image: np.ndarray) -> np.ndarray:
        geometry, features = self._input(line)
        return np.asarray(self._embedder.with_features(features).embed(geometry.apply(image)[None])[0])


@dataclass(frozen=True)
class Label:
    """A word on frames, given to a build as `LabelledFrames`, but as embeddings; `cells` are those of its box.

    Where all are, nobody drew a box.
    """

    id: str
    label: GroupLabel
    origin: Literal["group", "feedback"]
    cells: np.ndarray
    embeddings: np.ndarray

    def exemplars(self, first_row: int, window: np.ndarray) -> Exemplars:
        """As rows behind the window and their copies in it; of its box, only that there is one counts."""
        own = range(first_row, first_row + len(self.embeddings))
        copies = [i for i, frame in enumerate(window) if any(np.array_equal(frame, one) for one in self.embeddings)]
        box = None if self.cells.all() else (0.0, 0.0, 1.0, 1.0)
        labelled = LabelledFrames(self.id, self.label, self.origin, box, ())
        return Exemplars(labelled, (*copies, *own), self.cells)


@dataclass(frozen=True)
class Built:
    """A bank of embeddings: how it scores, where its threshold is, what groups it found, what it cost."""

    scorer: Scorer
    threshold: float
    fitted: Fit
    cpu_seconds: float

    @property
    def groups(self) -> list[LabelledGroup]:
        """All groups that the window shows."""
        return [each for each in self.fitted.labels.groups if each.group is not None]

    @property
    def new_groups(self) -> list[LabelledGroup]:
        """Those that raise a question."""
        return [each for each in self.groups if each.id is None]

    def failing(self, embeddings: np.ndarray) -> float:
        """The share of frames that fail."""
        return round(float((self.scores(embeddings) > self.threshold).mean()), 4)

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """The score of every frame."""
        starts = range(0, len(embeddings), FRAMES_AT_ONCE)
        batches = (np.ascontiguousarray(embeddings[at : at + FRAMES_AT_ONCE]) for at in starts)
        return np.array([found.score for batch in batches for found in self.scorer.score(batch)])


def build(
    window: np.ndarray,
    policy: GroupPolicy,
    labels: Sequence[Label] = (),
    *,
    settings: BuildSettings | None = None,
    upright: UprightReading = nothing_upright,
) -> Built:
    """A bank from embeddings by the steps of `build_bank`, on one core."""
    settings = settings or BuildSettings(groups=policy)
    begun = time.process_time()
    buffer = MemoryBuffer(len(window) + sum(len(each.embeddings) for each in labels), window.shape[1:])
    buffer.append(window)
    exemplars = []
    for each in labels:
        exemplars.append(each.exemplars(len(buffer), window))
        buffer.append(each.embeddings)
    known = KnownLabels(len(window), exemplars)
    blocks = calibration_blocks(len(window), settings.calibration_blocks)
    with ThreadPoolExecutor(1) as pool:
        fitted = fit(buffer, settings, pool, known=known, blocks=blocks, upright=upright)
    fitted, scores = weigh_positions(fitted, cross_fit(buffer, fitted, make_search=one_core_search))
    counted = scores.counted(fitted.labels.not_learnt)
    threshold = suggest(counted, false_reject_ratio=settings.false_reject_ratio, seed=settings.seed).threshold.value
    return Built(fitted.bank.scorer(one_core_search), threshold, fitted, round(time.process_time() - begun, 1))


def label_of(group: LabelledGroup, window: np.ndarray, label: GroupLabel, number: int = 0) -> Label:
    """A group's label as the trainer keeps it: an id, the box around its positions and eight of its frames."""
    rows = [row for row in group.rows if row < len(window)]
    spread = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 8)).round().astype(int))
    boxed = group.core.any(axis=1)[:, None] & group.core.any(axis=0)[None, :]
    cells = boxed if group.core.mean() < WHOLE_FRAME_SHARE else np.ones_like(boxed)
    return Label(group.id or f"g{number}", label, "group", cells, window[[rows[i] for i in spread]])


def one_core_search(vectors: np.ndarray) -> FlatSearch:
    """Exact search on one core."""
    return FlatSearch(vectors, threads=1)
