"""Scores pictures in files, by the rules that the inspection decides frames by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from deploy.heat_map import on_source
from deploy.offline.opened_bank import OpenedBank
from inference.decide import InForce, Limits, rule
from softpatch.images.input_faults import exposure_fault
from softpatch.images.statistics import measure
from softpatch.scoring.input_baseline import input_baseline_of
from softpatch.scoring.score import anomaly_map, regions

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from deploy.settings import Settings
    from inference.decide import Ruling
    from ingest.decision import InputFaultPolicy
    from softpatch.images.input_faults import InputBaseline, InputFault
    from softpatch.scoring.score import FrameScore

    PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """A picture with its score and verdict. Scores are L2 distances of the bank; boxes are pixels of the picture."""

    image: UInt8[np.ndarray, "h w 3"]
    score: float
    threshold: float
    ruling: Ruling
    input_fault: InputFault | None
    """Why the picture shows nothing to judge, where it does not; the view's policy then decided, not the score."""
    heat: Float32[np.ndarray, "h w"]
    """Score over threshold, per pixel."""
    regions: tuple[tuple[PixelBox, float], ...]
    """Where it exceeds the threshold, with the highest score there; worst first."""

    @property
    def ratio(self) -> float:
        """Score over threshold."""
        return self.score / self.threshold

    def to_json(self) -> dict[str, object]:
        """The figures, without pixels."""
        return {
            "score": self.score,
            "threshold": self.threshold,
            "score_ratio": self.ratio,
            "verdict": self.ruling.verdict.value,
            "reason": None if self.ruling.reason is None else self.ruling.reason.value,
            "input_fault": None if self.input_fault is None else self.input_fault.value,
            "regions": [{"box_xyxy_px": box, "peak": peak} for box, peak in self.regions],
        }


@dataclass(frozen=True, eq=False)
class ImageScorer:
    """Scores pictures by one bank, which is read and opened once."""

    opened: OpenedBank
    baseline: InputBaseline
    policy: InputFaultPolicy

    @classmethod
    def of(cls, bank_file: bytes, settings: Settings) -> Self:
        """By the bank in a file's bytes, and the settings of its view.

        Raises:
            InvalidBank: they are no bank.
            CommandFailed: the bank belongs to another network than the settings name.
        """
        opened = OpenedBank.of(bank_file, settings)
        policy = settings.inspection_of(opened.bank.manifest.view).input_fault
        return cls(opened, input_baseline_of(opened.bank), policy)

    def score(self, encoded: bytes) -> ScoredImage:
        """Score one picture. Raises UndecodableImage."""
        image = self.opened.decoded(encoded)
        found, _, on_input = self.opened.scored(image)
        fault = exposure_fault(measure(on_input), self.baseline)
        manifest = self.opened.bank.manifest
        threshold, geometry = manifest.threshold.value, manifest.geometry
        standing = InForce(self.opened.version, 0, Limits(threshold, threshold, threshold), provisional=False)
        smooth = anomaly_map(found.patch_scores, height_px=geometry.height_px, width_px=geometry.width_px)
        return ScoredImage(
            image=image,
            score=found.score,
            threshold=threshold,
            ruling=rule(found.score, standing, input_fault=self.policy if fault else None),
            input_fault=fault,
            heat=on_source(smooth / np.float32(threshold), geometry, _size_wh(image)),
            regions=self._regions(found, smooth, _size_wh(image)),
        )

    def _regions(
        self, found: FrameScore, smooth: Float32[np.ndarray, "height width"], size_wh: tuple[int, int]
    ) -> tuple[tuple[PixelBox, float], ...]:
        manifest = self.opened.bank.manifest
        worst_first = regions(found.patch_scores, smooth, manifest.threshold.value)
        return tuple((manifest.geometry.source_box(each.box_xyxy, size_wh), each.peak) for each in worst_first)


def _size_wh(image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
