"""What `tests.bench.gpu_first_contact` measures, a function for each part: on a GPU or, in small sizes, on the CPU."""

from __future__ import annotations

import importlib
import platform
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = (
    "torch",
    "torchvision",
    "onnxruntime-gpu",
    "onnxruntime",
    "tensorrt",
    "faiss-gpu-cu12",
    "faiss-cpu",
    "numpy",
)
REPEATS = 7
WIDE_COLUMNS = ("frames at once", "network, us a frame", "search, us a frame", "frames/s", "of what products allow")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    gemm: int = 8192
    copied_bytes: int = 1 << 28
    batches: tuple[int, ...] = (1, 4, 16, 64)
    side_px: int = 224
    bank: tuple[int, int] = (4000, 152)
    wide_bank: tuple[int, int] = (14_000, 1024)
    views: int = 300
    swap_seconds: float = 3.0
    build_frames: int = 209
    jpeg_wh_px: tuple[int, int] = (1600, 1200)
    jpegs: int = 64


SMALL = Sizes(
    gemm=128,
    copied_bytes=1 << 20,
    batches=(1, 2),
    side_px=64,
    bank=(120, 24),
    wide_bank=(150, 1024),
    views=5,
    swap_seconds=0.2,
    build_frames=12,
    jpeg_wh_px=(160, 120),
    jpegs=4,
)


@dataclass(frozen=True)
class Measured:
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


@dataclass(frozen=True)
class Device:
    """Where it is measured: `cuda` or `cpu`, and how much."""

    name: str
    sizes: Sizes

    def seconds(self, work: Callable[[], object]) -> float:
        """The median of a few runs, after one that does not count: by CUDA's events on a GPU."""
        torch = importlib.import_module("torch")
        work()
        if self.name == "cpu":
            return median(_wall(work) for _ in range(REPEATS))
        taken = []
        for _ in range(REPEATS):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            begin.record()
            work()
            end.record()
            torch.cuda.synchronize()
            taken.append(begin.elapsed_time(end) / 1000)
        return median(taken)


def _wall(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def versions(device: Device) -> Measured:
    """The machine and what is installed."""
    torch = importlib.import_module("torch")
    rows: list[tuple[object, ...]] = [("system", f"{platform.system()} {platform.release()}, {platform.machine()}")]
    if device.name == "cuda":
        properties = torch.cuda.get_device_properties(0)
        rows += [
            ("GPU", properties.name),
            ("GPU memory", f"{properties.total_memory / 2**30:.1f} GiB"),
            ("compute capability", f"{properties.major}.{properties.minor}"),
            ("CUDA of torch", torch.version.cuda),
        ]
    for package in PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    return Measured("Machine", ("", ""), rows)


def ceilings(device: Device) -> Measured:
    """What matrix products and copies take at most: every stage is held against these."""
    torch = importlib.import_module("torch")
    rows: list[tuple[object, ...]] = [
        (f"matrix product, {kind}", f"{_products_per_second(device, kind) / 1e12:.2f} TFLOP/s")
        for kind in ("float16", "float32")
    ]
    on_host = torch.ones(device.sizes.copied_bytes, dtype=torch.uint8, pin_memory=device.name == "cuda")
    there = torch.empty_like(on_host, device=device.name)
    copied = device.sizes.copied_bytes
    seconds = device.seconds(lambda: there.copy_(on_host, non_blocking=True))
    rows.append(("copy from pinned memory to the device", f"{copied / seconds / 1e9:.1f} GB/s"))
    beside = torch.empty_like(there)
    seconds = device.seconds(lambda: beside.copy_(there))
    rows.append(("copy on the device, read and written", f"{2 * copied / seconds / 1e9:.1f} GB/s"))
    return Measured("Ceilings", ("", ""), rows)


def _products_per_second(device: Device, kind: str) -> float:
    """Operations a second of a large square matrix product."""
    torch, size = importlib.import_module("torch"), device.sizes.gemm
    a, b = (torch.ones(size, size, dtype=getattr(torch, kind), device=device.name) for _ in range(2))
    return 2 * size**3 / device.seconds(lambda: a @ b)


def search_parity(device: Device) -> Measured:
    """Torch's search against the definition in NumPy, on patches of which some are near-duplicates."""
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    search = importlib.import_module("softpatch.scoring.search")
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.bank)
    queries = (bank[rng.integers(0, len(bank), 196)] + rng.normal(size=(196, bank.shape[1])) * 0.1).astype(np.float32)
    expected = search.BruteSearch(bank).nearest_two_frames(queries, frames)
    rows: list[tuple[object, ...]] = []
    for half in (False, True):
        made = torch_search.TorchSearch.of(bank, device=device.name, half=half)
        found = made.nearest_two_frames(queries, frames)
        differences = [
            float(np.abs(one / other - 1).max())
            for one, other in (
                (found.distance, expected.distance),
                (found.second_frame_distance, expected.second_frame_distance),
            )
        ]
        rows.append(("fp16" if half else "fp32", *(f"{each:.1e}" for each in differences)))
    return Measured(
        "Search by torch against the definition", ("ranking in", "nearest differs by", "second frame differs by"), rows
    )


def search_sweep(device: Device) -> Measured:
    """The search of a batch, once with embeddings and results in the host's memory, once with both on the device."""
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.bank)
    made = torch_search.TorchSearch.of(bank, device=device.name)
    part = made.bank_part(slice(None), frames)
    patches = (device.sizes.side_px // 8) ** 2
    rows: list[tuple[object, ...]] = []
    for batch in device.sizes.batches:
        queries = rng.normal(size=(batch * patches, bank.shape[1])).astype(np.float32)
        there = made.on_device(queries)
        from_host = device.seconds(lambda queries=queries: made.nearest_two_frames(queries, frames))
        resident = device.seconds(lambda there=there: made.found(there, [part]))
        rows.append(
            (batch, *(f"{1e6 * each / batch:.0f}" for each in (from_host, resident)), f"{batch / resident:.0f}")
        )
    columns = ("frames at once", "from the host and back, us a frame", "on the device, us a frame", "frames/s")
    return Measured(f"Search, bank {bank.shape[0]} x {bank.shape[1]}", columns, rows)


def search_stages(device: Device) -> Measured:
    """Where the time of a search goes, and what share of queries the ranking proves: others cost a pass of the bank."""
    torch = importlib.import_module("torch")
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.bank)
    batch, patches = max(device.sizes.batches), (device.sizes.side_px // 8) ** 2
    near = bank[rng.integers(0, len(bank), batch * patches)]
    queries = (near + rng.normal(size=near.shape) * 0.1).astype(np.float32)
    rows: list[tuple[object, ...]] = []
    for half in (False, True):
        made = torch_search.TorchSearch.of(bank, device=device.name, half=half)
        part, there = made.bank_part(slice(None), frames), made.on_device(queries)
        ranking = made._ranking
        with torch.inference_mode():
            product = device.seconds(lambda ranking=ranking, there=there: ranking.closeness(there))
            ranked = (*ranking.closeness(there), part.longest)
            first = device.seconds(lambda ranking=ranking, ranked=ranked: ranking.first(*ranked))
            whole = device.seconds(lambda made=made, there=there, part=part: made.found(there, [part]))
            (found,), (_, beyond) = made.found(there, [part]), ranking.first(*ranked)
            proven = float((found.second_frame_distance.square() <= beyond).float().mean())
        stages = (product, first, whole - product - first)
        rows.append(("fp16" if half else "fp32", *(f"{1e6 * each / batch:.0f}" for each in stages), f"{proven:.2%}"))
    columns = ("ranking in", "product, us a frame", "first eight", "distances and the unproven", "proven")
    return Measured(f"Search by stage, {batch} frames at once", columns, rows)


def resident_views(device: Device) -> Measured:
    """The banks of many views at once, in fp32 and fp16, and a search in each in turn."""
    torch = importlib.import_module("torch")
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.bank)
    queries = rng.normal(size=((device.sizes.side_px // 8) ** 2, bank.shape[1])).astype(np.float32)
    before = torch.cuda.memory_allocated() if device.name == "cuda" else 0
    searches = [torch_search.TorchSearch.of(bank + number, device=device.name) for number in range(device.sizes.views)]
    for each in searches:
        each.nearest_two_frames(queries, frames)
    taken = _wall(lambda: [each.nearest_two_frames(queries, frames) for each in searches])
    rows: list[tuple[object, ...]] = [
        ("views", len(searches)),
        ("a search, in turn", f"{1e6 * taken / len(searches):.0f} us"),
    ]
    if device.name == "cuda":
        rows.append(("memory of their banks", f"{(torch.cuda.memory_allocated() - before) / 2**20:.0f} MiB"))
    return Measured("Banks of many views, resident", ("", ""), rows)


def swapped_banks(device: Device) -> Measured:
    """Searches while another thread puts a new bank in force again and again: results are those of one of the two."""
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.bank)
    queries = rng.normal(size=((device.sizes.side_px // 8) ** 2, bank.shape[1])).astype(np.float32)
    make = [lambda: torch_search.TorchSearch.of(bank, device=device.name)]
    make.append(lambda: torch_search.TorchSearch.of(bank + 1, device=device.name))
    expected = [each().nearest_two_frames(queries, frames).distance for each in make]
    in_force, swaps, done = [make[0]()], [0], threading.Event()

    def swap() -> None:
        while not done.is_set():
            swaps[0] += 1
            in_force[0] = make[swaps[0] % 2]()

    taken, wrong = [], 0
    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap)
        until = time.perf_counter() + device.sizes.swap_seconds
        while time.perf_counter() < until:
            begun = time.perf_counter()
            found = in_force[0].nearest_two_frames(queries, frames).distance
            taken.append(time.perf_counter() - begun)
            wrong += not any(np.allclose(found, each, rtol=1e-4) for each in expected)
        done.set()
        swapping.result()
    rows: list[tuple[object, ...]] = [
        ("searches", len(taken)),
        ("swaps beside them", swaps[0]),
        ("results of neither bank", wrong),
        ("a search: median, worst", f"{1e3 * median(taken):.2f}, {1e3 * max(taken):.2f} ms"),
    ]
    return Measured("Bank swaps during search", ("", ""), rows)


def wide_network(device: Device) -> Measured:
    """WideResNet50 with random weights, and its search: frames a second, and the share of what products allow."""
    torch = importlib.import_module("torch")
    torch_search = importlib.import_module("softpatch.scoring.torch_search")
    half = device.name == "cuda"
    network = _wide_embedding().to(device.name)
    network = network.half() if half else network
    rng = np.random.default_rng(0)
    bank, frames = _bank(rng, device.sizes.wide_bank)
    search = torch_search.TorchSearch.of(bank, device=device.name)
    part = search.bank_part(slice(None), frames)
    rows: list[tuple[object, ...]] = []
    side = device.sizes.side_px
    ceiling = _products_per_second(device, "float16" if half else "float32")
    counted = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    with torch.inference_mode(), counted:
        network(torch.zeros(1, 3, side, side, device=device.name, dtype=torch.float16 if half else torch.float32))
    operations = counted.get_total_flops() + 2 * (side // 8) ** 2 * bank.size
    for batch in device.sizes.batches:
        pixels = torch.rand(batch, 3, side, side, device=device.name, dtype=torch.float16 if half else torch.float32)
        with torch.inference_mode():
            of_network = device.seconds(lambda pixels=pixels: network(pixels))
            embedded = network(pixels).permute(0, 2, 3, 1).float().reshape(-1, bank.shape[1])
        of_search = device.seconds(lambda embedded=embedded: search.found(embedded, [part]))
        per_frame = (of_network + of_search) / batch
        each = (of_network / batch, of_search / batch)
        rows.append(
            (
                batch,
                *(f"{1e6 * one:.0f}" for one in each),
                f"{1 / per_frame:.0f}",
                f"{operations / per_frame / ceiling:.0%}",
            )
        )
    title = f"WideResNet50, {side} px, bank {bank.shape[0]} x {bank.shape[1]}"
    return Measured(title, WIDE_COLUMNS, rows)


def _wide_embedding() -> Any:  # noqa: ANN401 - a torch module
    """WideResNet50 up to stride 16, layers averaged 3 x 3, pooled to 512 channels each and joined at stride 8."""
    torch = importlib.import_module("torch")
    functional = torch.nn.functional
    backbone = importlib.import_module("torchvision").models.wide_resnet50_2(weights=None).eval()

    class WideEmbedding(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Sequential(backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool)
            self.to_8 = torch.nn.Sequential(backbone.layer1, backbone.layer2)
            self.to_16 = backbone.layer3

        def forward(self, pixels: Any) -> Any:  # noqa: ANN401 - tensors
            fine = self.to_8(self.stem(pixels))
            coarse = self.to_16(fine)
            coarse = functional.avg_pool2d((coarse[:, 0::2] + coarse[:, 1::2]) / 2, 3, 1, 1)
            coarse = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
            return torch.cat([functional.avg_pool2d(fine, 3, 1, 1), coarse], dim=1)

    return WideEmbedding().eval()


def _bank(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Patches in clusters, a tenth of them near-duplicates, and the frame of each."""
    count, dimension = shape
    centres = rng.normal(size=(max(2, count // 20), dimension)) * 3
    bank = centres[rng.integers(0, len(centres), count)] + rng.normal(size=shape)
    copies = rng.permutation(count)[: count // 10]
    bank[copies] = bank[(copies + 1) % count] + rng.normal(size=(len(copies), dimension)) * 1e-3
    return bank.astype(np.float32), rng.integers(0, max(2, count // 10), count).astype(np.int32)
