"""Frames to embeddings that stay on the device which computed them, as PyTorch's tensors: what searches there takes.

ONNX Runtime writes to a tensor's memory, by its address: all runs of a batch to their parts of one tensor. By DLPack,
which it has for its own values, each run would be a tensor of its own, and be copied to join the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.network.embed import OnnxEmbedder, tile_shapes
from softpatch.network.graph import FeatureSet
from softpatch.network.providers import FrameShapes, Precision
from softpatch.network.running import Memory, run_in_memory
from softpatch.network.sessions import two_frames, wrong_values
from softpatch.network.tensors import Tensor


class NotOnDevice(RuntimeError):
    """Embeddings cannot stay on the device; the message says why."""


class _FrameRoom:
    """Host memory for the frames of a run, pinned where there is a GPU; as large as the largest run so far."""

    def __init__(self, device: str) -> None:
        self._pin = device != "cpu"
        self._bytes: Tensor = None

    def of(self, shape: tuple[int, ...]) -> Tensor:
        """A part of it, of this shape."""
        import torch  # noqa: PLC0415

        size = prod(shape)
        if self._bytes is None or len(self._bytes) < size:
            self._bytes = torch.empty(size, dtype=torch.uint8, pin_memory=self._pin)
        return self._bytes[:size].view(shape)


@dataclass(frozen=True)
class TorchEmbedder:
    """An embedder whose embeddings are tensors "n p q d" of float32 on a device: `cuda`, or `cpu` in tests.

    Frames go in as `OnnxEmbedder` sends them to a GPU, in full runs or tiles, through pinned memory; one run at a time.
    """

    embedder: OnnxEmbedder
    device: str
    _room: _FrameRoom
    _running: Lock = field(default_factory=Lock)

    @classmethod
    def proven(cls, embedder: OnnxEmbedder, *, device: str = "cuda") -> "TorchEmbedder":
        """One that has given, in a run of every size, what `embedder` gives.

        Raises:
            NotOnDevice: it gave something else, or failed.
        """
        made = cls(embedder, device, _FrameRoom(device))
        two = two_frames(embedder.shapes)
        for count in embedder.shapes.buckets:
            frames = two[np.arange(count) % len(two)]
            try:
                given = made.embed(frames).cpu().numpy()
            except Exception as error:  # onnxruntime raises a type of its own per status, all of Exception
                raise NotOnDevice(" ".join(str(error).split())) from error
            if wrong := wrong_values(given, embedder.embed(frames), embedder.precision):
                raise NotOnDevice(f"in memory of torch, at a batch of {count}, {wrong}")
        return made

    @property
    def graph_hash(self) -> str:
        """See Embedder."""
        return self.embedder.graph_hash

    @property
    def features(self) -> str:
        """See Embedder."""
        return self.embedder.features

    @property
    def feature_sets(self) -> Mapping[str, FeatureSet]:
        """See Embedder."""
        return self.embedder.feature_sets

    @property
    def input_multiple_px(self) -> int:
        """See Embedder."""
        return self.embedder.input_multiple_px

    @property
    def provider(self) -> str:
        """See Embedder."""
        return self.embedder.provider

    @property
    def precision(self) -> Precision:
        """See Embedder."""
        return self.embedder.precision

    def with_features(self, features: str) -> "TorchEmbedder":
        """See Embedder."""
        return replace(self, embedder=self.embedder.with_features(features))

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[Any, "n p q d"]:
        """See Embedder; a tensor on the device.

        Raises:
            ValueError: the sides are not multiples of what the graph takes.
        """
        tiles = self.embedder.tiles(*frames.shape[1:3])
        if len(tiles) == 1:
            return self._runs(frames, self.embedder.shapes_of(*frames.shape[1:3]))
        embeddings, stride = self._room_for(frames.shape), self._features.stride_px
        for tile in tiles:
            seen = frames[:, tile.rows.seen(), tile.columns.seen()]
            own = self._runs(seen, tile_shapes(tile))[:, tile.rows.own(stride), tile.columns.own(stride)]
            embeddings[:, tile.rows.target(stride), tile.columns.target(stride)] = own
        return embeddings

    def _runs(self, frames: UInt8[np.ndarray, "n h w 3"], shapes: FrameShapes) -> Tensor:
        """Each run writes to its part of one tensor."""
        session, runs = self.embedder.session(shapes), shapes.runs(len(frames))
        embeddings, first = self._room_for((sum(runs), *frames.shape[1:])), 0
        for count in runs:
            self._run(session, frames[first : first + count], embeddings[first : first + count])
            first += count
        return embeddings[: len(frames)]

    def _run(self, session: Any, frames: UInt8[np.ndarray, "n h w 3"], embeddings: Tensor) -> None:  # noqa: ANN401 - onnxruntime has no types
        """Black frames fill it up."""
        import torch  # noqa: PLC0415

        with self._running:
            on_host = self._room.of((len(embeddings), *frames.shape[1:]))
            on_host.numpy()[: len(frames)] = frames
            on_host[len(frames) :] = 0
            on_device = on_host.to(self.device, non_blocking=True)
            if on_device.is_cuda:
                torch.cuda.current_stream().synchronize()  # also ends what used the embeddings' memory before
            run_in_memory(session, self.features, _memory(on_device), _memory(embeddings))

    def _room_for(self, shape: tuple[int, ...]) -> Tensor:
        """Memory for the embeddings of uint8 frames of this shape."""
        import torch  # noqa: PLC0415

        count, height, width, _ = shape
        stride, dimension = self._features.stride_px, self._features.dimension
        return torch.empty((count, height // stride, width // stride, dimension), device=self.device)

    @property
    def _features(self) -> FeatureSet:
        return self.feature_sets[self.features]


def _memory(tensor: Tensor) -> Memory:
    return Memory(tensor.device.type, tensor.data_ptr(), tuple(tensor.shape))
