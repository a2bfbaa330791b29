"""Step 5: a fitted bank and its cross-fitted scores become a bank with threshold, manifest and probes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from softpatch.bank import Bank, Manifest
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.window import Window
from softpatch.calibration.threshold import suggest
from softpatch.network.embed import Embedder
from softpatch.scoring.self_test import probe_scores


@dataclass(frozen=True)
class BankOrigin:
    """The origin of a bank, for its manifest; the arguments of `build_bank`."""

    view: str
    frame_names: Sequence[str]
    created_at: str
    graph_name: str
    parent: str | None
    provenance: Mapping[str, Any]


def assemble(
    window: Window,
    fitted: Fit,
    scores: Float32[np.ndarray, "frames"],
    embedder: Embedder,
    *,
    origin: BankOrigin,
    frames: Sequence[bytes],
    make_search: SearchMaker,
) -> Bank:
    """The bank, its threshold suggested and its probes scored; `frames` are all encoded frames of the window.

    Probes are spaced evenly over the window, so that they cover all of its time.
    """
    probed = np.linspace(0, len(window) - 1, min(fitted.settings.probes, len(window))).round().astype(np.int32)
    bank = Bank(
        manifest=_manifest(window, fitted, scores, embedder, origin),
        vectors=np.ascontiguousarray(fitted.bank.patches.vectors),
        soft_weights=fitted.bank.soft_weights,
        source_frame=fitted.bank.patches.frame,
        source_position=fitted.bank.patches.position,
        calibration_scores=scores,
        calibration_statistics=window.statistics,
        calibration_sketches=window.sketches,
        probe_frames=probed,
        probe_scores=np.zeros(len(probed), np.float32),
        probes=tuple(bytes(frames[window.sources[frame]]) for frame in probed.tolist()),
    )
    return replace(bank, probe_scores=probe_scores(bank.probes, bank, embedder, make_search(bank.vectors)))


def _manifest(
    window: Window,
    fitted: Fit,
    scores: Float32[np.ndarray, "frames"],
    embedder: Embedder,
    origin: BankOrigin,
) -> Manifest:
    settings = fitted.settings
    suggestion = suggest(scores, false_reject_ratio=settings.false_reject_ratio, seed=settings.seed)
    return Manifest(
        view=origin.view,
        graph_name=origin.graph_name,
        graph_hash=embedder.graph_hash,
        geometry=settings.geometry,
        dimension=embedder.dimension,
        grid=window.grid,
        settings=settings,
        frame_names=[origin.frame_names[source] for source in window.sources],
        skipped_frames=len(origin.frame_names) - len(window),
        noise_floor=fitted.mask.noise_floor,
        kept_ratio=float(fitted.mask.keep.mean()),
        trusted_patches=fitted.bank.trusted_patches,
        threshold=suggestion.threshold,
        noise_estimate=suggestion.noise_estimate,
        probe_precision=embedder.precision,
        parent=origin.parent,
        provenance=dict(origin.provenance),
        created_at=origin.created_at,
    )
