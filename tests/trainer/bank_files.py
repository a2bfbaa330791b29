"""Bank files of four patches, as valid as any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softpatch.bank import Bank, bank_to_bytes
from softpatch.images.frame_sizes import FrameSizes
from softpatch.images.geometry import FrameGeometry
from softpatch.manifest import GoldenResult, GroupRecord, Manifest, Threshold
from softpatch.settings import BuildSettings
from tests.trainer.views import GRAPH, VIEW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FRAMES = 60
ALL_RIGHT = GoldenResult()


def bank_file(
    *,
    created_at: str = "2026-05-04T12:00:00.000+00:00",
    threshold: float = 2.0,
    graph_hash: str = GRAPH,
    probe: bytes = b"a frame",
    groups: Sequence[GroupRecord] = (),
    golden: GoldenResult = ALL_RIGHT,
    provenance: Mapping[str, Any] | None = None,
) -> bytes:
    """A bank file; each creation time gives another version."""
    rng = np.random.default_rng(0)
    suggested = Threshold(
        value=threshold,
        interval_low=threshold * 0.75,
        interval_high=threshold * 1.5,
        false_reject_ratio=0.02,
        false_reject_low=0.01,
        false_reject_high=0.03,
        rule="made up",
    )
    manifest = Manifest(
        view=VIEW,
        graph_name="toy",
        graph_hash=graph_hash,
        geometry=FrameGeometry(mode="squash", height_px=32, width_px=32),
        features="toy",
        frame_px=FrameSizes.of([(32, 32)]),
        dimension=3,
        grid=(4, 4),
        settings=BuildSettings(),
        frame_names=[f"f{number}" for number in range(FRAMES)],
        skipped_frames=1,
        groups=list(groups),
        golden=golden,
        noise_floor=0.0,
        kept_ratio=0.85,
        trusted_patches=4,
        threshold=suggested,
        noise_estimate=0.1,
        probe_precision="fp32",
        parent=None,
        provenance=dict(provenance or {}),
        created_at=created_at,
    )
    return bank_to_bytes(
        Bank(
            manifest=manifest,
            vectors=rng.normal(size=(4, 3)).astype(np.float32),
            soft_weights=np.ones(4, np.float32),
            source_frame=np.zeros(4, np.int32),
            source_position=np.zeros((4, 2), np.int16),
            calibration_scores=np.exp(rng.normal(0, 0.1, FRAMES)).astype(np.float32),
            calibration_statistics=np.zeros((FRAMES, 5), np.float32),
            calibration_sketches=np.zeros((FRAMES, 32), np.float32),
            probe_frames=np.zeros(1, np.int32),
            probe_scores=np.ones(1, np.float32),
            probes=(probe,),
        )
    )
