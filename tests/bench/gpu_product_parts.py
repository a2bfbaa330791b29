"""The parts of `tests.bench.gpu_first_contact` that run the product itself: its network, probes and build."""

from __future__ import annotations

import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.cameras.simulator import Simulator
from softpatch.building.build import build_bank
from softpatch.images.decode import decode
from softpatch.images.geometry import resize
from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable
from softpatch.network.graph import lite0
from softpatch.network.providers import FrameShapes
from softpatch.network.torch_embed import NotOnDevice, TorchEmbedder
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.self_test import ProbesDisagree, run_self_test
from softpatch.scoring.torch_score import TorchScorer
from softpatch.scoring.torch_search import TorchSearch
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores
from tests.bench.gpu_parts import Device, Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from softpatch.bank import Bank
    from softpatch.network.providers import Provider
    from softpatch.scoring.search import Search

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
        taken = [_median_wall(partial(opened.embed, frames[:count])) for count in device.sizes.batches]
        speeds = [f"{count / each:.0f}" for count, each in zip(device.sizes.batches, taken, strict=True)]
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
        by_torch = TorchSearch.of(bank.vectors, device=device.name)
        searches: dict[str, Search] = {"numpy cpu": FlatSearch(bank.vectors), "torch": by_torch}
        for name, search in searches.items():
            try:
                report = run_self_test(bank, opened, Scorer(bank, search))
                said = f"{report.worst_difference:.1e} of {report.tolerance:.0e}"
            except ProbesDisagree as refusal:
                said = str(refusal)
            rows.append((provider, name, said))
        rows.append((provider, "torch, embeddings and scores on the device", _resident_probes(bank, opened, by_torch)))
    return Measured("Probes of a bank built on the CPU", ("provider", "search", "worst difference, allowed"), rows)


def _resident_probes(bank: Bank, opened: OnnxEmbedder, search: TorchSearch) -> str:
    """Of the path on which no embedding is copied to the host; only a network in the same memory has it."""
    try:
        resident = TorchEmbedder.proven(opened, device=_memory_of(opened))
        report = run_self_test(bank, resident, TorchScorer(bank, search))
    except (NotOnDevice, ProbesDisagree) as refusal:
        return str(refusal)
    return f"{report.worst_difference:.1e} of {report.tolerance:.0e}"


def _memory_of(opened: OnnxEmbedder) -> str:
    return "cpu" if opened.provider == "cpu" else "cuda"


def frame_to_score(device: Device) -> Measured:
    """From shaped frames in the host's memory to scores there: embeddings kept on the device, and through the host."""
    bank, _ = _built("cpu", min(30, device.sizes.build_frames), device)
    rows: list[tuple[object, ...]] = []
    for provider in PROVIDERS:
        opened = _opened(provider, device)
        try:
            rows += [(provider, opened)] if isinstance(opened, str) else _to_scores(device, opened, bank)
        except NotOnDevice as refusal:
            rows.append((provider, str(refusal)))
    columns = (
        "provider",
        "frames at once",
        "copied in and embedded, us a frame",
        "searched and scored",
        "map of one that fails",
        "frames/s",
        "through the host",
    )
    filled = [(*row, *("" for _ in columns[len(row) :])) for row in rows]
    bank_shape = f"bank {bank.vectors.shape[0]} x {bank.vectors.shape[1]}"
    return Measured(f"Frame to score, {bank.manifest.geometry.width_px} px, {bank_shape}", columns, filled)


def _to_scores(device: Device, opened: OnnxEmbedder, bank: Bank) -> list[tuple[object, ...]]:
    """A row for each number of frames."""
    size = {"height_px": bank.manifest.geometry.height_px, "width_px": bank.manifest.geometry.width_px}
    frames = np.random.default_rng(0).integers(0, 256, (max(device.sizes.batches), *size.values(), 3), np.uint8)
    search = TorchSearch.of(bank.vectors, device=device.name)
    resident, scorer = TorchEmbedder.proven(opened, device=_memory_of(opened)), TorchScorer(bank, search)
    through_host = Scorer(bank, search)

    def as_before(some: np.ndarray) -> None:
        through_host.score(opened.embed(some))

    rows: list[tuple[object, ...]] = []
    for count in device.sizes.batches:
        some, embeddings = frames[:count], resident.embed(frames[:count])
        failing = scorer.score(embeddings)[0].patch_scores
        embedded = device.seconds(partial(resident.embed, some))
        scored = device.seconds(partial(scorer.score, embeddings))
        mapped = device.seconds(partial(scorer.exceeding, failing, 0.0, **size))
        before = device.seconds(partial(as_before, some))
        each = (embedded / count, scored / count, mapped)
        speeds = (count / (embedded + scored), count / before)
        rows.append((opened.provider, count, *(f"{1e6 * one:.0f}" for one in each), *(f"{one:.0f}" for one in speeds)))
    return rows


def decoding(device: Device) -> Measured:
    """JPEG to the network's input, decoded and resized apart: threads beside the device, and the device's own decoder.

    torchvision's decoder on a GPU is nvJPEG; its pixels may differ from those that banks were learnt from.
    """
    (width, height), side = device.sizes.jpeg_wh_px, device.sizes.side_px
    source = Simulator("bracket", seed=0, clock=lambda: datetime.now(UTC))
    drawn = [decode(source.frame(number).encoded) for number in range(min(4, device.sizes.jpegs))]
    encoded = [
        cv2.imencode(".jpg", resize(drawn[number % len(drawn)], width_px=width, height_px=height)[..., ::-1])[1]
        for number in range(device.sizes.jpegs)
    ]
    files = [each.tobytes() for each in encoded]
    decoded = [decode(each) for each in files]
    rows: list[tuple[object, ...]] = []
    for threads in sorted({1, 2, 4, 8, 16, available_cores()} & set(range(1, available_cores() + 1))):
        with ThreadPoolExecutor(threads) as pool:
            taken = [
                _median_wall(lambda pool=pool: list(pool.map(decode, files))),
                _median_wall(lambda pool=pool: list(pool.map(partial(resize, width_px=side, height_px=side), decoded))),
            ]
        rows.append((f"threads: {threads}", *_each(taken, len(files)), ""))
    rows.append(_beside_the_network(device, files))
    try:
        rows.append(_decoded_there(device, encoded, decoded))
    except Exception as error:  # noqa: BLE001 - it is an extra, and each machine lacks something else
        rows.append((f"torchvision, {device.name}: {type(error).__name__}: {error}", "", "", "", ""))
    columns = ("", "decode, us a frame", "resize, us a frame", "frames/s", "pixels differ by: mean, most")
    return Measured(f"JPEG of {width} x {height} px to {side} px", columns, rows)


def _beside_the_network(device: Device, files: list[bytes]) -> tuple[object, ...]:
    """As many frames embedded as decoded and resized meanwhile: how far the one costs the other's time."""
    opened = next(each for each in (_opened(provider, device) for provider in PROVIDERS) if not isinstance(each, str))
    side, at_once, cores = device.sizes.side_px, max(device.sizes.batches), available_cores()
    frames = np.random.default_rng(0).integers(0, 256, (len(files), side, side, 3), np.uint8)

    def shaped(file: bytes) -> np.ndarray:
        return resize(decode(file), width_px=side, height_px=side)

    with ThreadPoolExecutor(cores) as pool:

        def both() -> None:
            coming = pool.map(shaped, files)
            for first in range(0, len(frames), at_once):
                opened.embed(frames[first : first + at_once])
            list(coming)

        taken = _median_wall(both)
    return f"threads: {cores}, beside the network on {opened.provider}", "", "", f"{len(files) / taken:.0f}", ""


def _decoded_there(device: Device, encoded: list[np.ndarray], decoded: list[np.ndarray]) -> tuple[object, ...]:
    """By torchvision, on the device, resized there by area."""
    torch, io = importlib.import_module("torch"), importlib.import_module("torchvision.io")
    files, side = [torch.from_numpy(each.reshape(-1)) for each in encoded], device.sizes.side_px

    def decode_all() -> list[torch.Tensor]:
        there: list[torch.Tensor] = io.decode_jpeg(files, mode=io.ImageReadMode.RGB, device=device.name)
        return there

    pictures = torch.stack(decode_all())
    area = torch.nn.functional.adaptive_avg_pool2d
    taken = [device.seconds(decode_all), device.seconds(lambda: area(pictures.float(), side))]
    differ = np.abs(pictures.permute(0, 2, 3, 1).cpu().numpy().astype(np.int16) - np.stack(decoded))
    return (f"torchvision, {device.name}", *_each(taken, len(files)), f"{differ.mean():.2f}, {differ.max()}")


def _each(taken: list[float], count: int) -> list[str]:
    return [*(f"{1e6 * each / count:.0f}" for each in taken), f"{count / sum(taken):.0f}"]


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


def _median_wall(work: Callable[[], object]) -> float:
    """Seconds, after one run that does not count."""
    taken = []
    for _ in range(6):
        begun = time.perf_counter()
        work()
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
