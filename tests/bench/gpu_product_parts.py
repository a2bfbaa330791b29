"""The parts of `tests.bench.gpu_first_contact` that run the product itself: its network, probes and build."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from ingest.cameras.simulator import Simulator
from softpatch.building.build import build_bank
from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable
from softpatch.network.graph import lite0
from softpatch.network.providers import FrameShapes
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.self_test import ProbesDisagree, run_self_test
from softpatch.scoring.torch_search import TorchSearch
from softpatch.settings import BuildSettings
from tests.bench.gpu_parts import Device, Measured

if TYPE_CHECKING:
    from softpatch.bank import Bank
    from softpatch.network.providers import Provider

PROVIDERS: tuple[Provider, ...] = ("tensorrt", "cuda", "cpu")
FAST = BuildSettings.model_validate({"geometry": "fast"})


def networks(device: Device) -> Measured:
    """Lite0 by every provider of ONNX Runtime: how far embeddings are from the CPU's, and frames a second by batch."""
    side = device.sizes.side_px
    frames = np.random.default_rng(0).integers(0, 256, (max(device.sizes.batches), side, side, 3), np.uint8)
    reference = OnnxEmbedder.open(lite0(), provider="cpu").embed(frames[:4])
    rows: list[tuple[object, ...]] = []
    for provider in PROVIDERS:
        opened = _opened(provider, device)
        if isinstance(opened, str):
            rows.append((provider, opened, *("" for _ in device.sizes.batches)))
            continue
        length = np.sqrt(np.square(reference).sum(axis=-1).mean())
        difference = np.linalg.norm(opened.embed(frames[:4]) - reference, axis=-1).max() / length
        speeds = [f"{count / _median_seconds(opened, frames[:count]):.0f}" for count in device.sizes.batches]
        rows.append((provider, f"{difference:.1e}", *speeds))
    batches = tuple(f"frames/s, {count} at once" for count in device.sizes.batches)
    return Measured(f"Lite0, {side} px, by ONNX Runtime", ("provider", "differs from the CPU by", *batches), rows)


def faiss_search(_device: Device) -> Measured:
    """Whether FAISS searches on the GPU in a process of its own."""
    try:
        answer = f"{faiss_on_gpu().__name__} searches"
    except NoGpu as reason:
        answer = str(reason)
    return Measured("FAISS on the GPU", ("",), [(answer,)])


def probes(device: Device) -> Measured:
    """A bank built on the CPU, by every provider and search: how far its probes' scores are from those of its build."""
    bank, _ = _built("cpu", min(30, device.sizes.build_frames), device)
    rows: list[tuple[object, ...]] = []
    for provider in PROVIDERS:
        opened = _opened(provider, device)
        if isinstance(opened, str):
            rows.append((provider, opened, ""))
            continue
        searches = {"faiss cpu": FlatSearch(bank.vectors), "torch": TorchSearch.of(bank.vectors, device=device.name)}
        for name, search in searches.items():
            try:
                report = run_self_test(bank, opened, search)
                said = f"{report.worst_difference:.1e} of {report.tolerance:.0e}"
            except ProbesDisagree as refusal:
                said = str(refusal)
            rows.append((provider, name, said))
    return Measured("Probes of a bank built on the CPU", ("provider", "search", "worst difference, allowed"), rows)


def builds(device: Device) -> Measured:
    """A whole build by every provider: what follows the network runs on the CPU."""
    rows: list[tuple[object, ...]] = []
    for provider in PROVIDERS:
        opened = _opened(provider, device)
        rows.append((provider, opened if isinstance(opened, str) else f"{_built(provider, None, device)[1]:.1f} s"))
    return Measured(f"Build of {device.sizes.build_frames} frames of 512 px, calibrated", ("provider", "seconds"), rows)


def _opened(provider: Provider, device: Device) -> OnnxEmbedder | str:
    """The network there, or why not."""
    shapes = FrameShapes(device.sizes.side_px, device.sizes.side_px, max_frames=max(device.sizes.batches))
    try:
        return OnnxEmbedder.open(lite0(), provider=provider, shapes=shapes)
    except ProviderUnavailable as reason:
        return reason.tried[-1].outcome


def _median_seconds(embedder: OnnxEmbedder, frames: np.ndarray) -> float:
    taken = []
    for _ in range(6):
        begun = time.perf_counter()
        embedder.embed(frames)
        taken.append(time.perf_counter() - begun)
    return median(taken[1:])


def _built(provider: Provider, frames: int | None, device: Device) -> tuple[Bank, float]:
    """A bank of simulated frames, and the seconds of its build."""
    source = Simulator("bracket", seed=0, clock=lambda: datetime.now(UTC))
    drawn = [source.frame(number) for number in range(frames or device.sizes.build_frames)]
    embedder = OnnxEmbedder.open(lite0(), provider=provider)
    begun = time.perf_counter()
    bank = build_bank(
        [each.encoded for each in drawn],
        embedder,
        FAST,
        view="bench/camera-1",
        frame_names=[each.source for each in drawn],
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    return bank, time.perf_counter() - begun
