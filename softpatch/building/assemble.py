"""Step 5: a fitted bank and its cross-fitted scores become a bank with threshold, manifest and probes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.bank import Bank, Manifest
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.golden import golden_result
from softpatch.building.group_records import group_records
from softpatch.building.no_part_patches import NoPartPatches, no_part_patches
from softpatch.building.window import Window
from softpatch.calibration.threshold import Suggestion, suggest
from softpatch.network.embed import Embedder
from softpatch.scoring.self_test import probe_scores


@dataclass(frozen=True)
class BankOrigin:
    """The origin of a bank, for its manifest: the arguments of `build_bank`, and names of the labelled frames."""

    view: str
    frame_names: Sequence[str]
    labelled_names: Sequence[str]
    created_at: str
    graph_name: str
    parent: str | None
    provenance: Mapping[str, Any]

    def name(self, source: int) -> str:
        """Of a frame, by its place among all frames that were given."""
        given = len(self.frame_names)
        return self.frame_names[source] if source < given else self.labelled_names[source - given]


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
    used = window.window_frames
    counted = scores[~fitted.labels.not_learnt]
    suggestion = suggest(counted, false_reject_ratio=fitted.settings.false_reject_ratio, seed=fitted.settings.seed)
    no_part = _no_part(window, fitted, suggestion.threshold.value, make_search)
    probed = np.linspace(0, used - 1, min(fitted.settings.probes, used)).round().astype(np.int32)
    bank = Bank(
        manifest=_manifest(window, fitted, suggestion, embedder, origin=origin, no_part=no_part),
        vectors=np.ascontiguousarray(fitted.bank.patches.vectors),
        soft_weights=fitted.bank.soft_weights,
        source_frame=fitted.bank.patches.frame,
        source_position=fitted.bank.patches.position,
        calibration_scores=scores,
        calibration_statistics=window.statistics[:used],
        calibration_sketches=window.sketches[:used],
        probe_frames=probed,
        probe_scores=np.zeros(len(probed), np.float32),
        probes=tuple(bytes(frames[window.sources[frame]]) for frame in probed.tolist()),
        confirmed=_if_any(fitted.bank.confirmed),
        ignored=fitted.bank.ignored,
        negative_vectors=fitted.bank.negative_vectors,
        calibration_excluded=_if_any(fitted.labels.not_learnt),
        no_part_vectors=None if no_part is None else no_part.vectors,
    )
    golden = golden_result(bank, window.embeddings, fitted.labels.known.exemplars, make_search)
    return replace(
        bank,
        manifest=bank.manifest.model_copy(update={"golden": golden}),
        probe_scores=probe_scores(bank.probes, bank, embedder, make_search(bank.vectors)),
    )


def _if_any(which: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "n"] | None:
    return which if which.any() else None


def _no_part(window: Window, fitted: Fit, threshold: float, make_search: SearchMaker) -> NoPartPatches | None:
    labels = fitted.labels
    rows = {row for each in labels.groups if each.label == "no_part" for row in each.rows}
    rows |= {row for each in labels.known.exemplars if each.labelled.label == "no_part" for row in each.rows}
    return no_part_patches(
        window.embeddings, sorted(rows), fitted.settings, threshold=threshold, make_search=make_search
    )


def _manifest(
    window: Window,
    fitted: Fit,
    suggestion: Suggestion,
    embedder: Embedder,
    *,
    origin: BankOrigin,
    no_part: NoPartPatches | None,
) -> Manifest:
    settings = fitted.settings
    return Manifest(
        view=origin.view,
        graph_name=origin.graph_name,
        graph_hash=embedder.graph_hash,
        geometry=settings.geometry,
        dimension=embedder.dimension,
        grid=window.grid,
        settings=settings,
        frame_names=[origin.name(source) for source in window.sources],
        labelled_frames=len(window) - window.window_frames,
        skipped_frames=len(origin.frame_names) - window.window_frames,
        groups=group_records(fitted.labels.groups, window, origin.frame_names, settings.geometry),
        no_part_limit=None if no_part is None else no_part.limit,
        noise_floor=fitted.mask.noise_floor,
        kept_ratio=float(fitted.mask.keep[: window.window_frames].mean()),
        trusted_patches=fitted.bank.trusted_patches,
        threshold=suggestion.threshold,
        noise_estimate=suggestion.noise_estimate,
        probe_precision=embedder.precision,
        parent=origin.parent,
        provenance=dict(origin.provenance),
        created_at=origin.created_at,
    )
