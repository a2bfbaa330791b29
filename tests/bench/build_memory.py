"""How much memory a build takes, by the number of frames: `python -m tests.bench.build_memory 1000 5000`.

Each build runs in a process of its own. The embedder is a fake one at the product's dimensions (28 x 28 patches of 152
floats), and banks are small: neither the network nor the time of a coreset is measured here, only what is held.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from types import MappingProxyType

import cv2
import numpy as np

from softpatch.building.build import build_bank
from softpatch.network.graph import FeatureSet
from softpatch.settings import FAST, BuildSettings

SIDE_PX, CELL_PX, DIMENSION = 224, 8, 152
SETTINGS = BuildSettings(geometry=FAST, coreset_cap=200, detection_plants=0)


class Projected:
    """Every patch's mean colour and deviations, through one fixed random matrix."""

    graph_hash = "f" * 64
    features = "projected"
    feature_sets = MappingProxyType({"projected": FeatureSet(stride_px=CELL_PX, dimension=DIMENSION)})
    input_multiple_px = 32
    provider = "cpu"
    precision = "fp32"

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(0).normal(size=(6, DIMENSION)).astype(np.float32)

    def with_features(self, features: str) -> "Projected":
        """There is but one feature set."""
        assert features == self.features
        return self

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """As an embedder does."""
        count, height, width, _ = frames.shape
        patches = frames.reshape(count, height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX, 3).astype(np.float32)
        known = np.concatenate([patches.mean(axis=(2, 4)), patches.std(axis=(2, 4))], axis=-1)
        return known @ self._matrix


def picture(number: int) -> bytes:
    """A part of a line: one gradient, a brightness and noise of its own."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(60, 160, SIDE_PX, dtype=np.float32)
    image = ramp[:, None, None] + rng.normal(0, 4) + rng.normal(0, 6, (SIDE_PX, SIDE_PX, 3))
    return bytes(cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8))[1])


def measure(frames: int) -> dict[str, float]:
    """Build once, in this process, and say what it took."""
    started = time.perf_counter()
    distinct = [picture(number) for number in range(min(frames, 1000))]
    window = [distinct[number % len(distinct)] for number in range(frames)]
    names = [str(number) for number in range(frames)]
    build_bank(window, Projected(), SETTINGS, view="bench/memory", frame_names=names, created_at="now", threads=2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"frames": frames, "peak_mib": round(peak), "seconds": round(time.perf_counter() - started, 1)}


def main(arguments: list[str]) -> None:
    """One child per number of frames; then the peaks against the first's."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(int(arguments[1]))))  # noqa: T201 - a command's output
        return
    first = None
    for frames in arguments:
        child = [sys.executable, "-m", "tests.bench.build_memory", "--one", frames]
        found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        first = first or found["peak_mib"]
        print(found, f"{found['peak_mib'] / first:.2f} of the first")  # noqa: T201 - a command's output


if __name__ == "__main__":
    main(sys.argv[1:])
