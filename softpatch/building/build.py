"""From a window of unfiltered encoded frames to a bank: the whole build, in the order in which it happens."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from softpatch.bank import Bank, Manifest
from softpatch.building.candidate import UnsavedBank, unsaved_bank
from softpatch.building.cross_fit import cross_fit
from softpatch.building.denoise import NoiseMask, denoise
from softpatch.building.subsample import subsample
from softpatch.building.window import BuildProgress, Window, read_window
from softpatch.calibration.threshold import suggest
from softpatch.images.decode import MAX_PIXELS
from softpatch.network.embed import Embedder
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.self_test import probe_scores
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores


def build_bank(
    frames: Sequence[bytes],
    embedder: Embedder,
    settings: BuildSettings,
    *,
    view: str,
    frame_names: Sequence[str],
    created_at: str,
    graph_name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    parent: str | None = None,
    progress: BuildProgress | None = None,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Bank:
    """The bank of a window, oldest frame first. The same arguments give the same bank, byte for byte, on one machine.

    `graph_name` is for people (the hash decides; its first 12 digits stand in). Frames that cannot be decoded are left
    out and counted in the manifest. `progress(stage, done, total)` hears of embed, discriminate, condense, calibrate.

    Raises:
        TooFewFrames: fewer usable frames than `settings.fewest_frames`.
    """
    if len(frames) != len(frame_names):
        raise ValueError(f"{len(frames)} frames but {len(frame_names)} frame names")
    say = progress or _silent
    with ThreadPoolExecutor(threads or available_cores(), "build") as pool:
        window = read_window(
            frames,
            embedder,
            settings.geometry,
            fewest=settings.fewest_frames,
            max_pixels=max_pixels,
            pool=pool,
            progress=say,
        )
        judged = denoise(window.embeddings, len(window), settings, lambda *done: say("discriminate", *done))
        condensed = subsample(window.embeddings, judged, settings, pool, lambda *done: say("condense", *done))
    scores = cross_fit(
        window.embeddings,
        judged,
        condensed,
        settings,
        make_search=lambda vectors: FlatSearch(vectors, threads=threads),
        progress=lambda *done: say("calibrate", *done),
    )
    made = unsaved_bank(condensed.bank, judged, settings)
    manifest = _manifest(
        window,
        judged,
        scores,
        settings,
        view=view,
        graph_name=graph_name or embedder.graph_hash[:12],
        graph_hash=embedder.graph_hash,
        dimension=embedder.dimension,
        frame_names=[frame_names[source] for source in window.sources],
        skipped_frames=len(frames) - len(window),
        trusted_patches=made.trusted_patches,
        probe_precision=embedder.precision,
        parent=parent,
        provenance=dict(provenance or {}),
        created_at=created_at,
    )
    bank = _assemble(manifest, window, made, scores, frames=frames)
    expected = probe_scores(bank.probes, bank, embedder, FlatSearch(bank.vectors, threads=threads))
    return replace(bank, probe_scores=expected)


def _silent(_stage: str, _done: int, _total: int) -> None:
    """For those who do not ask."""


def _manifest(
    window: Window,
    judged: NoiseMask,
    scores: Float32[np.ndarray, "frames"],
    settings: BuildSettings,
    **known: Any,  # noqa: ANN401 - pydantic checks them
) -> Manifest:
    suggestion = suggest(scores, false_reject_ratio=settings.false_reject_ratio, seed=settings.seed)
    return Manifest(
        geometry=settings.geometry,
        grid=window.grid,
        settings=settings,
        noise_floor=judged.noise_floor,
        kept_ratio=float(judged.keep.mean()),
        threshold=suggestion.threshold,
        noise_estimate=suggestion.noise_estimate,
        **known,
    )


def _assemble(
    manifest: Manifest,
    window: Window,
    made: UnsavedBank,
    scores: Float32[np.ndarray, "frames"],
    *,
    frames: Sequence[bytes],
) -> Bank:
    """The bank, its probes not yet scored: evenly spaced over the window, so that they see all of its time."""
    probed = np.linspace(0, len(window) - 1, min(manifest.settings.probes, len(window))).round().astype(np.int32)
    return Bank(
        manifest=manifest,
        vectors=np.ascontiguousarray(made.patches.vectors),
        soft_weights=made.soft_weights,
        source_frame=made.patches.frame,
        source_position=made.patches.position,
        calibration_scores=scores,
        calibration_statistics=window.statistics,
        calibration_sketches=window.sketches,
        probe_frames=probed,
        probe_scores=np.zeros(len(probed), np.float32),
        probes=tuple(_encoded(frames, window, probed.tolist())),
    )


def _encoded(frames: Sequence[bytes], window: Window, probed: Iterable[int]) -> Iterable[bytes]:
    return (bytes(frames[window.sources[frame]]) for frame in probed)
