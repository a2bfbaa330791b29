"""Which frames are trained on and which are tested: SoftPatch section 4.1, made repeatable.

Noise n is injected defective frames over good frames. At most half of each defect type is injected, so that no-overlap
keeps a test set; where that is too few for the largest noise, good frames are left out, the same ones at every noise.
The injected frames of a smaller noise are among those of a larger one, and both settings share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from softpatch.images.folders import LabelledImage

LARGEST_NOISE = 0.4

Setting = Literal["overlap", "no-overlap", "gaussian-noise", "noise-blur", "rotation", "affine"]
SETTINGS: tuple[Setting, ...] = ("overlap", "no-overlap", "gaussian-noise", "noise-blur", "rotation", "affine")
AUGMENTED: frozenset[Setting] = frozenset({"gaussian-noise", "noise-blur", "rotation", "affine"})
"""Settings in which augmented copies of the injected frames are trained on, and the originals tested."""


@dataclass(frozen=True)
class Split:
    """One experiment: the window in the order it is built from, and the frames to test."""

    window: tuple[LabelledImage, ...]
    injected: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]


class NothingToInject(ValueError):
    """The folder has no defective test frames, so there is neither noise nor a test."""


def split(images: Sequence[LabelledImage], *, noise: float, setting: Setting, seed: int) -> Split:
    """Draw the frames of one experiment.

    The window keeps the good frames in their order, as a line would give them, with the injected ones at random places.

    Raises:
        NothingToInject: there are no defective test frames.
        ValueError: the noise is outside 0 to `LARGEST_NOISE`.
    """
    if not 0 <= noise <= LARGEST_NOISE:
        raise ValueError(f"noise {noise} is outside 0 to {LARGEST_NOISE}")
    queue = _injection_queue(images, seed)
    good = _good_frames(images, injectable=len(queue), seed=seed)
    injected = queue[: round(noise * len(good))]
    gone = set(injected) if setting == "no-overlap" else set()
    return Split(
        window=_mix(good, injected, seed),
        injected=injected,
        test=tuple(image for image in images if image.split == "test" and image not in gone),
    )


def _injection_queue(images: Sequence[LabelledImage], seed: int) -> tuple[LabelledImage, ...]:
    """Half of each defect type in a seeded order in which every beginning holds the types in proportion."""
    rng = np.random.default_rng((seed, 1))
    types = sorted({image.label for image in images if image.split == "test" and image.label != "good"})
    if not types:
        raise NothingToInject("no defective test frames: test/<type> folders beside test/good are needed")
    places: list[tuple[float, str, LabelledImage]] = []
    for defect in types:
        of_type = [image for image in images if image.split == "test" and image.label == defect]
        half = len(of_type) // 2
        chosen = rng.permutation(len(of_type))[:half]
        phase = rng.random()
        places += [((rank + phase) / half, defect, of_type[index]) for rank, index in enumerate(chosen)]
    return tuple(image for _, _, image in sorted(places, key=lambda place: place[:2]))


def _good_frames(images: Sequence[LabelledImage], *, injectable: int, seed: int) -> tuple[LabelledImage, ...]:
    good = [image for image in images if image.split == "train" and image.label == "good"]
    enough = min(len(good), int(injectable / LARGEST_NOISE))
    chosen = np.random.default_rng((seed, 2)).permutation(len(good))[:enough]
    return tuple(good[index] for index in sorted(chosen))


def _mix(good: Sequence[LabelledImage], injected: Sequence[LabelledImage], seed: int) -> tuple[LabelledImage, ...]:
    rng = np.random.default_rng((seed, 3))
    place = np.concatenate([np.arange(len(good)), rng.uniform(-1, len(good), len(injected))])
    both = (*good, *injected)
    return tuple(both[index] for index in np.argsort(place, kind="stable"))
