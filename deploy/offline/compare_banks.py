"""What two banks make of the same frames: which they decide otherwise, and where they see something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitoring.heat_map import on_source
from softpatch.images.decode import UndecodableImage
from softpatch.scoring.score import anomaly_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Float32, UInt8

    from deploy.offline.opened_bank import OpenedBank
    from softpatch.scoring.score import FrameScore


@dataclass(frozen=True, eq=False)
class JudgingBank:
    """A bank with the threshold that it is to decide by."""

    opened: OpenedBank
    threshold: float


@dataclass(frozen=True)
class ComparedFrame:
    """One frame: what it scores over the threshold of the first bank and of the second."""

    name: str
    encoded: bytes
    ratios: tuple[float, float]

    @property
    def changed(self) -> bool:
        """Whether the two decide it otherwise."""
        return (self.ratios[0] > 1) != (self.ratios[1] > 1)

    @property
    def difference(self) -> float:
        """How far apart the two are: the absolute log of the ratio of the two."""
        first, second = (max(each, 1e-6) for each in self.ratios)
        return float(abs(np.log(second / first)))


@dataclass(frozen=True)
class BankComparison:
    """All frames that could be decoded; those decided otherwise first, then by how far apart the banks are."""

    frames: tuple[ComparedFrame, ...]

    @property
    def fails(self) -> tuple[int, int]:
        """How many fail by the first and by the second bank."""
        return sum(each.ratios[0] > 1 for each in self.frames), sum(each.ratios[1] > 1 for each in self.frames)

    @property
    def now_fail(self) -> int:
        """How many pass by the first bank and fail by the second."""
        return sum(each.changed and each.ratios[1] > 1 for each in self.frames)

    @property
    def now_pass(self) -> int:
        """How many fail by the first bank and pass by the second."""
        return sum(each.changed and each.ratios[0] > 1 for each in self.frames)

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "frames": len(self.frames),
            "fails": list(self.fails),
            "now_fail": self.now_fail,
            "now_pass": self.now_pass,
            "decided_otherwise": [
                {"frame": each.name, "score_ratios": list(each.ratios)} for each in self.frames if each.changed
            ],
        }


def compared(frames: Iterable[tuple[str, bytes]], banks: Sequence[JudgingBank]) -> BankComparison:
    """Score named, encoded frames by both banks; what cannot be decoded is left out."""
    found = []
    for name, encoded in frames:
        try:
            image = banks[0].opened.decoded(encoded)
        except UndecodableImage:
            continue
        first, second = (each.opened.scored(image)[0].score / each.threshold for each in banks)
        found.append(ComparedFrame(name, encoded, (first, second)))
    return BankComparison(tuple(sorted(found, key=lambda each: (not each.changed, -each.difference))))


def heats(frame: ComparedFrame, banks: Sequence[JudgingBank]) -> list[Float32[np.ndarray, "h w"]]:
    """Of each bank, score over threshold for every pixel of the frame as it came."""
    return [_heat(each, each.opened.decoded(frame.encoded)) for each in banks]


def _heat(bank: JudgingBank, image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    scored: FrameScore = bank.opened.scored(image)[0]
    geometry = bank.opened.bank.manifest.geometry
    ratios = (scored.patch_scores / bank.threshold).astype(np.float32)
    on_input = anomaly_map(ratios, height_px=geometry.height_px, width_px=geometry.width_px)
    return on_source(on_input, geometry, (image.shape[1], image.shape[0]))
