"""The split of the paper's protocol: what is injected, what stays, what is tested."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.evaluation.protocol.augment import augment
from deploy.evaluation.protocol.split import AUGMENTED, SETTINGS, NothingToInject, split
from softpatch.images.folders import LabelledImage


def images(good: int, test_good: int, **defects: int) -> list[LabelledImage]:
    """A category of that many frames of each kind."""
    rows = [("train", "good", good), ("test", "good", test_good)] + [("test", kind, n) for kind, n in defects.items()]
    return [
        LabelledImage(path=Path(f"{part}/{label}/{i:03}.png"), split=part, label=label, mask=None)
        for part, label, count in rows
        for i in range(count)
    ]


def test_noise_is_injected_defective_frames_over_good_frames() -> None:
    """100 good frames at noise 0.1 get 10 injected, all of them defective test frames."""
    drawn = split(images(100, 20, dent=60, hole=40), noise=0.1, setting="overlap", seed=0)
    assert len(drawn.injected) == 10
    assert Counter(image.label for image in drawn.window) == Counter(
        good=100, **Counter(image.label for image in drawn.injected)
    )
    assert {image.split for image in drawn.injected} == {"test"}


def test_overlap_tests_the_injected_frames_too_and_no_overlap_does_not() -> None:
    """Both settings share the window; only the test differs."""
    frames = images(100, 20, dent=60, hole=40)
    overlap, apart = (split(frames, noise=0.2, setting=setting, seed=3) for setting in ("overlap", "no-overlap"))
    assert overlap.window == apart.window
    assert len(overlap.test) == 120
    assert set(overlap.test) - set(apart.test) == set(apart.injected)


def test_at_most_half_of_each_type_is_injected_and_types_keep_their_share() -> None:
    """At noise 0.4 every type is at its half, and half of those are drawn at noise 0.2, in the same proportion."""
    frames = images(52, 20, dent=30, hole=12)
    drawn = split(frames, noise=0.4, setting="no-overlap", seed=1)
    assert Counter(image.label for image in drawn.injected) == {"dent": 15, "hole": 6}
    assert Counter(image.label for image in drawn.test) == {"good": 20, "dent": 15, "hole": 6}
    fewer = Counter(image.label for image in split(frames, noise=0.2, setting="overlap", seed=1).injected)
    assert fewer in ({"dent": 7, "hole": 3}, {"dent": 8, "hole": 2})


def test_good_frames_are_left_out_alike_where_defects_are_too_few() -> None:
    """20 injectable frames allow 50 good ones at noise 0.4; the same 50 serve every noise."""
    frames = images(200, 20, dent=41)
    windows = [split(frames, noise=noise, setting="overlap", seed=7).window for noise in (0.0, 0.1, 0.4)]
    good = [{image for image in window if image.label == "good"} for window in windows]
    assert [len(window) for window in windows] == [50, 55, 70]
    assert good[0] == good[1] == good[2]


def test_a_smaller_noise_is_part_of_a_larger_one_and_seeds_differ() -> None:
    """Nested injection makes a noise curve one curve."""
    frames = images(100, 20, dent=60, hole=40)
    small, large, other = (
        split(frames, noise=noise, setting="overlap", seed=seed).injected
        for noise, seed in [(0.1, 0), (0.4, 0), (0.4, 1)]
    )
    assert large[: len(small)] == small
    assert other != large


def test_good_frames_keep_their_order_in_the_window() -> None:
    """A line's order is what time blocks are cut from."""
    drawn = split(images(100, 20, dent=60), noise=0.2, setting="overlap", seed=0)
    good = [image.path for image in drawn.window if image.label == "good"]
    assert good == sorted(good)
    assert [image.label for image in drawn.window] != sorted(image.label for image in drawn.window)


def test_a_folder_without_defects_and_a_foreign_noise_are_refused() -> None:
    """Nothing to inject is an error, not a score."""
    with pytest.raises(NothingToInject, match="test/<type>"):
        split(images(10, 5), noise=0.1, setting="overlap", seed=0)
    with pytest.raises(ValueError, match=r"noise 0\.5 is outside 0 to 0\.4"):
        split(images(10, 5, dent=5), noise=0.5, setting="overlap", seed=0)


@pytest.mark.parametrize("setting", SETTINGS)
def test_augmented_frames_differ_and_keep_their_size(setting: str) -> None:
    """The augmented settings change the pixels, reproducibly; the plain ones change nothing."""
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    image = cv2.GaussianBlur(image, (9, 9), 0)
    first, again = (augment(image, setting, rng=np.random.default_rng(5)) for _ in range(2))
    assert first.shape == image.shape
    np.testing.assert_array_equal(first, again)
    assert (first != image).any() == (setting in AUGMENTED)
