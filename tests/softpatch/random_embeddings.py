"""A small embedder and small encoded frames: a build in a second, with defects whose places are known."""

from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.images.geometry import Geometry
from softpatch.network.graph import FeatureSet
from softpatch.settings import BuildSettings

SETTINGS = BuildSettings(
    geometry=Geometry(mode="squash", height_px=64, width_px=64),
    coreset_cap=200,
    probes=3,
    detection_plants=0,
)


class MeanColours:
    """Embeds a patch of 8 x 8 px as means and deviations of its channels: a function of the patch alone."""

    graph_hash = "f" * 64
    features = "colours"
    feature_sets = MappingProxyType({"colours": FeatureSet(stride_px=8, dimension=6)})
    input_multiple_px = 32
    provider = "cpu"
    precision = "fp32"

    def with_features(self, features: str) -> "MeanColours":
        """There is but one feature set."""
        assert features == self.features
        return self

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """Six numbers a patch."""
        n, height, width, _ = frames.shape
        patches = frames.reshape(n, height // 8, 8, width // 8, 8, 3).astype(np.float32)
        return np.concatenate([patches.mean(axis=(2, 4)), patches.std(axis=(2, 4))], axis=-1)


@cache
def picture(seed: int, *, defect: bool = False) -> UInt8[np.ndarray, "64 64 3"]:
    """A gradient with noise; a defect is a white square over four patches. Drawn once: nobody may write into it."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 160, 64)
    image = np.broadcast_to((ramp[:, None] + ramp[None]) / 2, (64, 64))[..., None] + rng.normal(0, 6, (64, 64, 3))
    if defect:
        row, column = rng.integers(0, 6, 2) * 8
        image[row : row + 16, column : column + 16] = 255
    drawn = np.clip(image, 0, 255).astype(np.uint8)
    drawn.flags.writeable = False
    return drawn


def encoded(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """As a PNG."""
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


@cache
def encoded_picture(seed: int, *, defect: bool = False) -> bytes:
    """A picture as a PNG."""
    return encoded(picture(seed, defect=defect))


def window(frames: int = 60, *, defects: int = 6) -> list[bytes]:
    """Every tenth frame or so is defective."""
    bad = set(np.linspace(3, frames - 1, defects).astype(int).tolist())
    return [encoded_picture(number, defect=number in bad) for number in range(frames)]


def names(frames: list[bytes]) -> list[str]:
    """Frame names in order."""
    return [f"frame-{number}" for number in range(len(frames))]
