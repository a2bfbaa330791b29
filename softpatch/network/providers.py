"""The execution providers of ONNX Runtime that Patchline knows, and the words in which it takes their options."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from softpatch.network.graph import INPUT

Provider = Literal["tensorrt", "cuda", "cpu"]
Precision = Literal["fp32", "fp16", "int8"]
PrecisionChoice = Literal["auto", "fp32", "fp16"]

ORT_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PRECISIONS: Mapping[Provider, tuple[Precision, ...]] = {
    "tensorrt": ("fp16", "fp32"),
    "cuda": ("fp32",),
    "cpu": ("fp32", "int8"),
}
"""What each computes in; the first is what `auto` takes. int8 is what a graph is in, and nothing to ask for."""

BUCKETS = (1, 4, 16, 64)
"""Frames of a run on a GPU: a batch is filled up to the next of these, because every other size costs it a search for
the fastest kernels once."""

MOST_BATCH_PX = BUCKETS[-1] * 448 * 448
"""Pixels of a run on a GPU: of large frames fewer go at once, so that its memory stays bounded."""


@dataclass(frozen=True)
class FrameShapes:
    """The inputs to expect: the height and width of every frame, and the most frames at once (TensorRT's profile)."""

    height_px: int = 224
    width_px: int = 224
    max_frames: int = 16

    @property
    def buckets(self) -> tuple[int, ...]:
        """The numbers of frames in a run on a GPU, rising; the last is the most that MOST_BATCH_PX allow."""
        most = min(self.max_frames, BUCKETS[-1], max(1, MOST_BATCH_PX // (self.height_px * self.width_px)))
        return (*(each for each in BUCKETS if each < most), most)

    def runs(self, count: int) -> list[int]:
        """Into which numbers of frames so many are divided: as many at once as there may be, the last run filled up."""
        full, rest = divmod(count, self.buckets[-1])
        last = [next(each for each in self.buckets if each >= rest)] if rest else []
        return [self.buckets[-1]] * full + last


def precision_of(provider: Provider, asked: PrecisionChoice, graph: Precision = "fp32") -> Precision | None:
    """What a provider computes a graph in where this is asked of it; None where it cannot."""
    known = PRECISIONS[provider]
    if graph == "int8":
        return graph if graph in known and asked == "auto" else None
    if asked == "auto":
        return known[0]
    return asked if asked in known else None


def provider_options(
    provider: Provider, precision: Precision, shapes: FrameShapes, engine_folder: Path | None = None
) -> list[dict[str, str]]:
    """Options of the provider and, after TensorRT, of CUDA, which runs the layers that TensorRT does not take.

    ONNX Runtime wants `True` and `False` of TensorRT, and `0` and `1` of CUDA; another word throws. `engine_folder` is
    where TensorRT's engine is kept, beside those for the same GPU: they share what was measured of kernels.
    """
    cuda = {"use_tf32": "0"}  # without it "fp32" would multiply 10 bits of mantissa
    if provider != "tensorrt":
        return [cuda if provider == "cuda" else {}]
    low, high = (f"{INPUT}:{count}x{shapes.height_px}x{shapes.width_px}x3" for count in (1, shapes.buckets[-1]))
    options = {
        "trt_fp16_enable": "True" if precision == "fp16" else "False",
        "trt_profile_min_shapes": low,
        "trt_profile_opt_shapes": high,
        "trt_profile_max_shapes": high,
    }
    if engine_folder is not None:
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(engine_folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(engine_folder.parent),
        }
    return [options, cuda]
