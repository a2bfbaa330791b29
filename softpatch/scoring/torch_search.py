"""The nearest bank patches by PyTorch: on a GPU whose CUDA has no FAISS, and on CPU tensors, behind the same Protocol.

A matrix product ranks all patches, in fp16 on a GPU. The first few are then measured in fp32; where the bound on the
ranking's rounding does not prove that no other patch is nearer, all are measured. So near-duplicates are told apart,
and the nearest patch of a second frame is exact, too. Queries may be tensors on the device already, and several parts
of a bank are searched by one matrix product.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from softpatch.network.tensors import Tensor
from softpatch.scoring.gpu_search import NoGpu, refuse_wrong
from softpatch.scoring.search import SECOND_FRAME_DEPTH, FrameOfRow, Nearest, NoNeighbour, TwoFrameNearest, Vectors

DRIVER = "libcuda.so.1"

PRODUCTS_AT_ONCE = 1 << 25
"""Products of queries and bank patches held at once: 128 MiB of fp32."""

_HALF, _SINGLE = 2.0**-11, 2.0**-24
"""By what share of itself rounding to fp16 and to fp32 changes a number at most."""

_LARGEST_HALF = 6e4


@dataclass(frozen=True)
class BankPart:
    """Rows of a bank that are searched by themselves: `TorchSearch.bank_part` makes it."""

    rows: slice
    frames: Tensor | None
    """Of each row, where the nearest of a second frame is wanted."""
    longest: Tensor
    """The largest norm of the rows about the bank's mean."""


class Found(NamedTuple):
    """Tensors "n": distance to the nearest row of a part, that row counted from its first, and a second distance.

    That to the nearest row of another frame; where it is not wanted, or all are of one frame, the first again.
    """

    distance: Tensor
    row: Tensor
    second_frame_distance: Tensor


class TorchSearch:
    """Exact up to the rounding of fp32 distances. `TorchSearch.of` makes one from an array."""

    def __init__(self, bank: Tensor, *, half: bool) -> None:
        """`bank`: a tensor "m d" of fp32. `half` rounds what the ranking multiplies to fp16."""
        self._bank, self._half = bank, half

    @classmethod
    def of(cls, bank: Vectors, *, device: str = "cpu", half: bool | None = None) -> "TorchSearch":
        """A search on that device, which keeps the vectors; in fp16 where it is a GPU, unless `half` says."""
        import torch  # noqa: PLC0415

        tensor = torch.from_numpy(np.ascontiguousarray(bank)).to(device)
        return cls(tensor, half=tensor.is_cuda if half is None else half)

    def nearest(self, queries: Float32[Any, "n d"]) -> Nearest:
        """See Search; queries may be on the device."""
        distance, row, _ = self._on_host(queries, None)
        return Nearest(distance, row)

    def nearest_two_frames(self, queries: Float32[Any, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search; queries may be on the device."""
        return TwoFrameNearest(*self._on_host(queries, frames))

    def part(self, rows: slice) -> "TorchSearch":
        """See Search; the vectors are not copied."""
        return TorchSearch(self._bank[rows], half=self._half)

    @property
    def device(self) -> str:
        """Where the bank is, as torch names it."""
        return str(self._bank.device)

    def on_device(self, array: Any) -> Tensor:  # noqa: ANN401 - of any shape and kind, or a tensor already
        """The array as a tensor beside the bank; one that is there is not copied."""
        import torch  # noqa: PLC0415

        if not isinstance(array, torch.Tensor):
            array = torch.from_numpy(np.require(array, requirements=("C", "W")))
        return array.to(self._bank.device)

    def bank_part(self, rows: slice, frames: FrameOfRow | None = None) -> BankPart:
        """What `found` takes; `frames`, of these rows, where the nearest of a second frame is wanted.

        Raises:
            NoNeighbour: there are no such rows.
        """
        if not len(self._bank[rows]):
            raise NoNeighbour(bank_patches=0, queries=0)
        of_one_frame = frames is None or not (frames != frames[0]).any()
        return BankPart(rows, None if of_one_frame else self.on_device(frames), self._ranking.longest(rows))

    def found(self, queries: Tensor, parts: Sequence[BankPart]) -> list[Found]:
        """Of each part, by one matrix product of the queries, a tensor "n d" on the device, and the whole bank.

        Raises:
            NoNeighbour: a query is not finite.
        """
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            at_once = queries.split(max(1, PRODUCTS_AT_ONCE // len(self._bank)))
            chunks = [self._of_parts(each, parts) for each in at_once]
            found = [Found(*map(torch.cat, zip(*of_part, strict=True))) for of_part in zip(*chunks, strict=True)]
            if not all(each.distance.isfinite().all() for each in found):
                raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return found

    def _on_host(self, queries: Float32[Any, "n d"], frames: FrameOfRow | None) -> list[np.ndarray]:
        if not len(self._bank):
            raise NoNeighbour(bank_patches=0, queries=len(queries))
        (found,) = self.found(self.on_device(queries), [self.bank_part(slice(None), frames)])
        return [each.cpu().numpy() for each in found]

    def _of_parts(self, queries: Tensor, parts: Sequence[BankPart]) -> list[Found]:
        closeness, squared_norm = self._ranking.closeness(queries)
        return [self._of_part(queries, part, closeness[:, part.rows], squared_norm) for part in parts]

    def _of_part(self, queries: Tensor, part: BankPart, closeness: Tensor, squared_norm: Tensor) -> Found:
        import torch  # noqa: PLC0415

        bank, of_row = self._bank[part.rows], part.frames
        candidates, beyond = self._ranking.first(closeness, squared_norm, part.longest)
        squared = (queries[:, None] - bank[candidates]).square().sum(dim=-1)
        nearest, place, second = _of_two_frames(squared, None if of_row is None else of_row[candidates])
        row = candidates.gather(1, place[:, None])[:, 0]
        unproven = (~(second <= beyond)).nonzero()[:, 0]  # so also where a value is not finite
        if len(unproven):
            all_squared = torch.cdist(queries[unproven], bank, compute_mode="donot_use_mm_for_euclid_dist").square()
            nearest[unproven], row[unproven], second[unproven] = _of_two_frames(
                all_squared, None if of_row is None else of_row.expand(all_squared.shape)
            )
        return Found(nearest.sqrt(), row, second.sqrt())

    @cached_property
    def _ranking(self) -> "_Ranking":
        """Made at the first search: a bank that is searched in parts needs none of the whole."""
        return _Ranking(self._bank, half=self._half)


class _Ranking:
    """Orders the rows of a bank by a matrix product with their vectors about the mean, scaled to fit fp16."""

    def __init__(self, bank: Tensor, *, half: bool) -> None:
        import torch  # noqa: PLC0415

        self._centre = bank.mean(dim=0)
        centred = bank - self._centre
        self._scale = float(centred.abs().max().clamp(min=torch.finfo(torch.float32).tiny))
        self._rows = (centred / self._scale).to(torch.float16 if half else torch.float32)
        self._squared_norms = centred.square().sum(dim=1)
        summing = 2 * (bank.shape[1] + 8) * _SINGLE  # twice: a GPU may cut where it should round, and fp16 ends at 6e-8
        self._rounding = summing + (2 * _HALF if half else 0), summing

    def longest(self, rows: slice) -> Tensor:
        """The largest norm of these rows about the mean."""
        return self._squared_norms[rows].max().sqrt()

    def closeness(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances to all rows, "n m", less the queries' squared norms about the mean, and those, "n"."""
        centred = queries - self._centre
        return self._squared_norms - 2 * self._products(centred), centred.square().sum(dim=1)

    def first(self, closeness: Tensor, squared_norm: Tensor, longest: Tensor) -> tuple[Tensor, Tensor]:
        """Per query the few rows that seem nearest, and a bound: no other row's squared distance is less.

        `closeness` may be of some rows alone; `longest` is the largest of their norms.
        """
        rows = closeness.shape[1]
        count = min(SECOND_FRAME_DEPTH, rows)
        nearest = closeness.topk(count, dim=1, largest=False)
        if count == rows:
            return nearest.indices, nearest.values.new_full((len(closeness),), np.inf)
        return nearest.indices, nearest.values[:, -1] + squared_norm - self._slack(squared_norm, longest)

    def _products(self, centred: Tensor) -> Tensor:
        """Of queries and all rows, "n m" of fp32."""
        import torch  # noqa: PLC0415

        scaled = (centred / self._scale).to(self._rows.dtype)
        if scaled.is_cuda and scaled.dtype == torch.float16:
            products = torch.mm(scaled, self._rows.T, out_dtype=torch.float32)
        else:
            products = scaled.float() @ self._rows.float().T
        return products * self._scale**2

    def _slack(self, squared_norm: Tensor, longest: Tensor) -> Tensor:
        """By how much the squared distance that the ranking gives may be wrong; infinite where fp16 overflows."""
        norm = squared_norm.sqrt()
        of_products, of_norms = self._rounding
        slack = 2 * of_products * norm * longest + of_norms * (squared_norm + longest.square())
        return slack.masked_fill(norm > _LARGEST_HALF * self._scale, np.inf)


def _of_two_frames(squared: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row of "n k" the least, its column, and the least among columns of other frames than that one's.

    Where there are none, that is infinite; without frames it is the least itself.
    """
    nearest, column = squared.min(dim=1)
    if frames is None:
        return nearest, column, nearest.clone()
    own = frames.gather(1, column[:, None])
    return nearest, column, squared.masked_fill(frames == own, np.inf).min(dim=1).values


def torch_on_gpu() -> Callable[[Vectors], TorchSearch]:
    """Makes searches on the GPU, once one has searched there.

    Raises:
        NoGpu: no driver, no torch, no GPU that torch sees, or the search failed or gave something else.
    """
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        raise NoGpu(f"there is no NVIDIA driver ({DRIVER})") from None
    if find_spec("torch") is None:
        raise NoGpu("torch is not installed")
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        raise NoGpu(f"torch {torch.__version__} sees no GPU")
    make = partial(TorchSearch.of, device="cuda")
    try:
        refuse_wrong(make)
    except (RuntimeError, TypeError) as error:  # TypeError: before torch 2.8 `mm` gives no fp32 of fp16
        raise NoGpu(f"torch {torch.__version__}: {' '.join(str(error).split())}") from error
    return make
