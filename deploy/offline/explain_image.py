"""Why a bank scores a picture as it does: its worst patches, and the bank patches they were compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.store import NotInStore
from ingest.store_layout import frame_path
from softpatch.images.decode import UndecodableImage
from softpatch.scoring.score import anomaly_map, in_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jaxtyping import Float32, UInt8

    from deploy.offline.opened_bank import OpenedBank
    from ingest.store import Store
    from softpatch.bank import Bank

MOST, APART = 4, 3
"""Patches explained, and how many cells lie between two of them at least: neighbours have the same cause."""


@dataclass(frozen=True, eq=False)
class ExplainedPatch:
    """One bad place; positions are (row, column) of the grid, `ratio` is the score over the threshold.

    `distance` is L2 to the nearest trusted patch; the score also depends on a second frame, on the patches around,
    and on the position.
    """

    position: tuple[int, int]
    ratio: float
    distance: float
    soft_weight: float
    source_name: str
    source_position: tuple[int, int]
    source: UInt8[np.ndarray, "h w 3"] | None
    """The frame that the bank patch was learnt from; None where nobody keeps it any more."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A picture, its score ratio everywhere, and its worst patches, the worst first."""

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    heat: Float32[np.ndarray, "p q"]
    """Score over threshold of every patch, smoothed, at the network's input."""
    bank: Bank
    version: str
    score: float
    threshold: float
    suggested: bool
    """Whether the threshold is the one that the bank suggests, which need not be the one in force."""
    patches: tuple[ExplainedPatch, ...]

    @property
    def ratio(self) -> float:
        """Score over threshold."""
        return self.score / self.threshold

    @property
    def threshold_words(self) -> str:
        """Which threshold it is, for people."""
        return "suggested threshold" if self.suggested else "threshold"


class SourceFrames:
    """Where the frames that a bank was learnt from may still be: in the bank, in a folder, in the store's window."""

    def __init__(self, opened: OpenedBank, *, folder: Path | None, store: Store | None) -> None:
        self._opened = opened
        self._folder = folder
        self._store = store

    def get(self, frame: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """A frame of the bank, by its number in the manifest; None where nobody keeps it."""
        for encoded in self._candidates(frame):
            try:
                return self._opened.decoded(encoded)
            except UndecodableImage:
                continue
        return None

    def _candidates(self, frame: int) -> Iterator[bytes]:
        bank = self._opened.bank
        for place, probed in enumerate(bank.probe_frames.tolist()):
            if probed == frame:
                yield bank.probes[place]
        name = bank.manifest.frame_names[frame]
        if self._folder is not None and (file := self._folder / name).is_file():
            yield file.read_bytes()
        at = (bank.manifest.provenance.get("frames") or {}).get(name)
        if self._store is not None and at is not None:
            try:
                yield self._store.get(frame_path(bank.manifest.view, *at))
            except NotInStore:
                return


def explain_image(
    encoded: bytes, name: str, opened: OpenedBank, sources: SourceFrames, *, threshold: float | None = None
) -> Explanation:
    """Score one picture and compare its worst patches with the bank's; without a threshold, the bank suggests one.

    Raises UndecodableImage.
    """
    bank, image = opened.bank, opened.decoded(encoded)
    found, embedding, _ = opened.scored(image)
    limit = bank.manifest.threshold.value if threshold is None else threshold
    geometry, ratios = bank.manifest.geometry, found.patch_scores / np.float32(limit)
    return Explanation(
        name=name,
        image=image,
        heat=anomaly_map(ratios, height_px=geometry.height_px, width_px=geometry.width_px),
        bank=bank,
        version=opened.version,
        score=found.score,
        threshold=limit,
        suggested=threshold is None,
        patches=tuple(
            _explained(
                bank,
                position,
                float(ratios[position]),
                int(found.nearest_row[position]),
                sources,
                patch=embedding[position],
            )
            for position in worst_apart(found.patch_scores)
        ),
    )


def worst_apart(scores: Float32[np.ndarray, "p q"], *, most: int = MOST, apart: int = APART) -> list[tuple[int, int]]:
    """The positions of the largest scores, the largest first, no two within `apart` cells of each other."""
    left, found = scores.astype(np.float64), list[tuple[int, int]]()
    while len(found) < most and np.isfinite(left).any():
        row, column = (int(each) for each in np.unravel_index(left.argmax(), left.shape))
        found.append((row, column))
        left[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = -np.inf
    return found


def _explained(
    bank: Bank, position: tuple[int, int], ratio: float, row: int, sources: SourceFrames, *, patch: np.ndarray
) -> ExplainedPatch:
    frame, weight = int(bank.source_frame[row]), float(bank.soft_weights[row])
    source_row, source_column = bank.source_position[row].tolist()
    return ExplainedPatch(
        position=position,
        ratio=ratio,
        distance=float(np.linalg.norm(in_metric(patch, bank.metric) - bank.vectors[row])),
        soft_weight=weight,
        source_name=bank.manifest.frame_names[frame],
        source_position=(source_row, source_column),
        source=sources.get(frame),
    )
