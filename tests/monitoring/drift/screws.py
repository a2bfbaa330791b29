"""Real decisions to watch: MVTec screws through a bank, undisturbed and under changes of camera and product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from monitoring.drift.observation import Observation
from monitoring.drift.reference import GRAY_LEVELS, Reference, reference_of_bank
from softpatch.building.build import build_bank
from softpatch.images.decode import decode
from softpatch.images.statistics import difference_hash, measure
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.network.sketch import sketch
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from softpatch.bank import Bank

Change = tuple[str, "Callable[[np.ndarray], np.ndarray]"]
DEFECTS = 0.02
"""Share of defective frames in the window and on the undisturbed line."""


@dataclass(frozen=True)
class Screws:
    """A bank's reference and pools of decisions under it. `clean` frames are from the window's own session.

    `other_session` are MVTec's good test frames: taken in another light, they differ from the window as they are.
    """

    reference: Reference
    clean: list[Observation]
    defective: list[Observation]
    other_session: list[Observation]
    changed: dict[str, list[Observation]]


@dataclass(frozen=True)
class Decider:
    """Makes of encoded frames what inference's decisions would say of them."""

    bank: Bank
    embedder: OnnxEmbedder

    def observed(self, paths: Sequence[Path], change: Callable[[np.ndarray], np.ndarray]) -> list[Observation]:
        """One observation a picture, changed after decoding, measured on the network's input."""
        scorer = Scorer(self.bank, FlatSearch(self.bank.vectors))
        return [self._observed(self.bank.manifest.geometry.apply(change(_read(path))), scorer) for path in paths]

    def _observed(self, frame: np.ndarray, scorer: Scorer) -> Observation:
        embedding = self.embedder.embed(frame[None])
        seen = measure(frame)
        values = [
            scorer.score(embedding)[0].score,
            seen.brightness * GRAY_LEVELS,
            seen.contrast * GRAY_LEVELS,
            seen.sharpness,
            seen.dark_ratio,
            seen.saturated_ratio,
        ]
        drawn = np.asarray(sketch(embedding[0], self.embedder.graph_hash), np.float64)
        return Observation(np.array(values), drawn, f"{difference_hash(frame):016x}")


def gain(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Another lamp."""
    return lambda image: np.clip(image * np.float32(factor), 0, 255).astype(np.uint8)


def blur(sigma_px: float) -> Callable[[np.ndarray], np.ndarray]:
    """A lens out of focus; pixels of the 1024 px source."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.uint8)


def smaller(image: np.ndarray) -> np.ndarray:
    """A variant of the part: 85 % of its size on the same ground."""
    height, width = image.shape[:2]
    part = cv2.resize(image, (int(width * 0.85), int(height * 0.85)), interpolation=cv2.INTER_AREA)
    top, left = (height - part.shape[0]) // 2, (width - part.shape[1]) // 2
    below, right = height - part.shape[0] - top, width - part.shape[1] - left
    return np.asarray(cv2.copyMakeBorder(part, top, below, left, right, cv2.BORDER_REFLECT), np.uint8)


def screws(folder: Path, rng: np.random.Generator, *, window: int, held_out: int, changes: Sequence[Change]) -> Screws:
    """A bank of `window` screws, 2 % of them defective, and `held_out` more of the same session to decide."""
    train = sorted((folder / "train/good").iterdir())
    bad = sorted(path for kind in (folder / "test").iterdir() if kind.name != "good" for path in kind.iterdir())
    rng.shuffle(train)
    rng.shuffle(bad)
    contaminating = round(window * DEFECTS)
    learnt = [*train[: window - contaminating], *bad[:contaminating]]
    rng.shuffle(learnt)
    clean = train[window - contaminating :][:held_out]
    decider = decider_of(learnt)
    return Screws(
        reference=reference_of_bank(decider.bank, threshold=decider.bank.manifest.threshold.value),
        clean=decider.observed(clean, unchanged),
        defective=decider.observed(bad[contaminating:][:held_out], unchanged),
        other_session=decider.observed(sorted((folder / "test/good").iterdir())[:held_out], unchanged),
        changed={name: decider.observed(clean, change) for name, change in changes},
    )


def drawn(
    rng: np.random.Generator, pool: Sequence[Observation], defective: Sequence[Observation], rate: float
) -> Observation:
    """One frame of a line with that share of defects."""
    source = defective if rng.random() < rate else pool
    return source[rng.integers(len(source))]


def decider_of(paths: Sequence[Path]) -> Decider:
    """Decides by a bank of these pictures."""
    embedder = OnnxEmbedder.open(lite0(), provider="cpu")
    frames, names = [path.read_bytes() for path in paths], [path.name for path in paths]
    bank = build_bank(frames, embedder, BuildSettings(), view="line/screw", frame_names=names, created_at="2026-01-01")
    return Decider(bank, embedder)


def _read(path: Path) -> np.ndarray:
    return decode(path.read_bytes())


def unchanged(image: np.ndarray) -> np.ndarray:
    """The picture as it was taken."""
    return image
