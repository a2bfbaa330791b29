"""Which frames of a category make the window of a calibration experiment, and which are held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softpatch.images.folders import LabelledImage


@dataclass(frozen=True)
class FoldIndices:
    """One fold of a category, as indices among its good and among its defective frames; the window in its order.

    In `window`, indices from the number of good frames on count the defective frames.
    """

    window: tuple[int, ...]
    held_good: tuple[int, ...]
    held_defective: tuple[int, ...]


def shuffled_folds(good: int, defective: int, *, noise: float, folds: int, seed: int) -> list[FoldIndices]:
    """Every good frame is held out once; noise is injected defective frames over the good frames of a window.

    Frames are shuffled: these data sets are no streams, and a threshold holds only for frames that come from where its
    window came from. Raises ValueError where there are too few defective frames.
    """
    order = np.random.default_rng((seed, 11)).permutation(good)
    split = []
    for fold in range(folds):
        rng = np.random.default_rng((seed, 12, fold))
        window = np.delete(order, np.arange(fold, good, folds))
        drawn = rng.permutation(defective)
        count = round(noise * len(window))
        if count > defective:
            raise ValueError(f"noise {noise} needs {count} defective frames, there are {defective}")
        mixed = rng.permutation(np.concatenate([window, good + drawn[:count]]))
        held = order[fold::folds]
        split.append(FoldIndices(tuple(mixed.tolist()), tuple(held.tolist()), tuple(drawn[count:].tolist())))
    return split


def fold_in_time(good: Sequence[LabelledImage], defective: int, *, noise: float, seed: int) -> FoldIndices:
    """One fold: the training frames in the order of their names, and the other good frames, which came later."""
    rng = np.random.default_rng((seed, 13))
    train = sorted((i for i, image in enumerate(good) if image.split == "train"), key=lambda i: good[i].path.name)
    drawn = rng.permutation(defective)
    count = round(noise * len(train))
    at = np.concatenate([np.arange(len(train)), rng.uniform(-1, len(train), count)])
    mixed = [*train, *(len(good) + drawn[:count])]
    return FoldIndices(
        window=tuple(int(mixed[i]) for i in np.argsort(at, kind="stable")),
        held_good=tuple(i for i, image in enumerate(good) if image.split != "train"),
        held_defective=tuple(drawn[count:].tolist()),
    )
