"""Toy banks and windows of vectors, with which examinations can be worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softpatch.bank import Bank
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.images.frame_sizes import FrameSizes
from softpatch.images.geometry import FrameGeometry
from softpatch.manifest import GoldenResult, Manifest, Threshold
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from softpatch.calibration.detection import DetectionCurve

GEOMETRY = FrameGeometry(mode="squash", height_px=32, width_px=32)
GRID = (4, 4)
PAPER = BuildSettings(second_frame_ratio=0.0, untrusted_ratio=1.0, blur_cells=0.0)
"""Scores that are plain distances."""


def toy_bank(
    *,
    scores: np.ndarray,
    threshold: float = 1.0,
    features: str = "toy",
    excluded: np.ndarray | None = None,
    noise_estimate: float = 0.1,
    wrong: tuple[str, ...] = (),
    detection: DetectionCurve | None = None,
) -> Bank:
    """A bank of one patch at the origin, with these calibration scores."""
    suggested = Threshold(
        value=threshold,
        interval_low=threshold,
        interval_high=threshold,
        false_reject_ratio=0.02,
        false_reject_low=0.01,
        false_reject_high=0.03,
        rule="made up",
    )
    manifest = Manifest(
        view="a/b",
        graph_name="toy",
        graph_hash="0" * 64,
        geometry=GEOMETRY,
        features=features,
        detection=detection,
        frame_px=FrameSizes.of([(32, 32)]),
        dimension=3,
        grid=GRID,
        settings=PAPER,
        frame_names=[f"f{number}" for number in range(len(scores))],
        skipped_frames=0,
        golden=GoldenResult(wrong=list(wrong)),
        noise_floor=0.0,
        kept_ratio=0.9,
        trusted_patches=1,
        threshold=suggested,
        noise_estimate=noise_estimate,
        probe_precision="fp32",
        parent=None,
        provenance={},
        created_at="2026-01-01",
    )
    frames = len(scores)
    return Bank(
        manifest=manifest,
        vectors=np.zeros((1, 3), np.float32),
        soft_weights=np.ones(1, np.float32),
        source_frame=np.zeros(1, np.int32),
        source_position=np.zeros((1, 2), np.int16),
        calibration_scores=np.asarray(scores, np.float32),
        calibration_statistics=np.zeros((frames, 5), np.float32),
        calibration_sketches=np.zeros((frames, 32), np.float32),
        probe_frames=np.zeros(1, np.int32),
        probe_scores=np.ones(1, np.float32),
        probes=(b"a frame",),
        calibration_excluded=excluded,
    )


def embedded(frames: int) -> np.ndarray:
    """Frames that the toy bank passes: every patch at a tenth of the threshold, each a little different."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(frames, *GRID, 3))
    return np.asarray(0.1 * directions / np.linalg.norm(directions, axis=-1, keepdims=True), np.float32)


def buffer_of(frames: np.ndarray) -> MemoryBuffer:
    """The same as a build has them."""
    buffer = MemoryBuffer(len(frames), frames.shape[1:])
    buffer.append(frames)
    return buffer
