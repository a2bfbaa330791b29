"""Scores pictures in files, by the rules that the inspection decides frames by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from deploy.offline.opened_bank import OpenedBank
from inference.decide import InForce, Limits, rule
from monitoring.heat_map import on_source
from softpatch.images.input_faults import exposure_fault
from softpatch.images.statistics import measure
from softpatch.scoring.input_baseline import input_baseline_of
from softpatch.scoring.score import anomaly_map, regions

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from deploy.settings import Settings
    from inference.decide import Ruling
    from ingest.decision import InputFaultPolicy
    from softpatch.images.geometry import FrameGeometry
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
    geometry: FrameGeometry
    """By which the bank looks at it."""

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
    limits: Limits
    baseline: InputBaseline
    policy: InputFaultPolicy

    @classmethod
    def of(cls, bank_file: bytes, settings: Settings, *, limits: Limits | None = None) -> Self:
        """By the bank in a file's bytes, and the settings of its view; without limits, by the threshold it suggests.

        Raises:
            InvalidBank: they are no bank.
            CommandFailed: the bank belongs to another network than the settings name.
        """
        opened = OpenedBank.of(bank_file, settings)
        manifest = opened.bank.manifest
        if limits is None:
            limits = Limits(manifest.threshold.value, manifest.threshold.value, manifest.threshold.value)
        return cls(opened, limits, input_baseline_of(opened.bank), settings.inspection_of(manifest.view).input_fault)

    def score(self, encoded: bytes) -> ScoredImage:
        """Score one picture. Raises UndecodableImage."""
        image = self.opened.decoded(encoded)
        found, embedding, on_input = self.opened.scored(image)
        geometry = self.opened.bank.manifest.geometry
        fault = exposure_fault(measure(on_input, geometry.inspected(_size_wh(image))), self.baseline)
        threshold = self.limits.threshold
        smooth = anomaly_map(found.patch_scores, height_px=geometry.height_px, width_px=geometry.width_px)
        return ScoredImage(
            image=image,
            score=found.score,
            threshold=threshold,
            ruling=self._ruling(found.score, embedding, fault),
            input_fault=fault,
            heat=on_source(smooth / np.float32(threshold), geometry, _size_wh(image)),
            regions=self._regions(found, smooth, _size_wh(image)),
            geometry=geometry,
        )

    def _ruling(self, score: float, embedding: Float32[np.ndarray, "p q d"], input_fault: InputFault | None) -> Ruling:
        standing = InForce(self.opened.version, 0, self.limits, provisional=False)
        policy = self.policy if input_fault else None
        no_part = score > self.limits.low and self.opened.shows_no_part(embedding)
        return rule(score, standing, input_fault=policy, no_part=no_part)

    def _regions(
        self, found: FrameScore, smooth: Float32[np.ndarray, "height width"], size_wh: tuple[int, int]
    ) -> tuple[tuple[PixelBox, float], ...]:
        geometry = self.opened.bank.manifest.geometry
        worst_first = regions(found.patch_scores, smooth, self.limits.threshold)
        return tuple((geometry.source_box(each.box_xyxy, size_wh), each.peak) for each in worst_first)


def _size_wh(image: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
