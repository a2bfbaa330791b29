"""Regions and bit depth in a build: what is ignored is not learnt, scored or measured; deep pictures are read."""

from functools import cache

import cv2
import numpy as np
import pytest

from softpatch.bank import Bank
from softpatch.building.build import build_bank
from softpatch.building.ignored_cells import NothingInspected
from softpatch.building.labels import LabelledFrames
from softpatch.images.regions import InspectedRegions
from softpatch.scoring.score import FrameScore, Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, encoded, names, picture

LAMP = slice(9, 15)
"""Rows and columns of a status lamp beside the part."""

AROUND = InspectedRegions(ignore=(((8, 8), (16, 8), (16, 16), (8, 16)),))


def lamp(seed: int, *, on: bool) -> bytes:
    """A good part, and the lamp."""
    image = picture(seed).copy()
    image[LAMP, LAMP] = (60, 220, 60) if on else (40, 60, 40)
    return encoded(image)


def window_with_lamp() -> list[bytes]:
    """60 frames; the lamp is on in two."""
    return [lamp(seed, on=seed in (17, 44)) for seed in range(60)]


def built(
    frames: list[bytes], settings: BuildSettings, labels: tuple[LabelledFrames, ...] = (), earlier: Bank | None = None
) -> Bank:
    """The bank of those frames."""
    return build_bank(
        frames,
        MeanColours(),
        settings,
        view="line-1/cam-1",
        frame_names=names(frames),
        created_at="",
        labels=labels,
        earlier=None if earlier is None else earlier.manifest,
    )


@cache
def bank_with_regions() -> Bank:
    """Of the window with the lamp, which is ignored."""
    return built(window_with_lamp(), SETTINGS.model_copy(update={"regions": AROUND, "detection_plants": 200}))


def found_by(bank: Bank, frames: list[bytes]) -> list[FrameScore]:
    """As inference scores them."""
    geometry = bank.manifest.geometry
    pixels = np.stack([geometry.apply(geometry.decode(each)) for each in frames])
    return Scorer(bank, FlatSearch(bank.vectors)).score(MeanColours().embed(pixels))


@pytest.mark.slow
def test_a_lamp_that_is_ignored_changes_no_score() -> None:
    """On and off are the same; without regions every good part fails while it is on."""
    on, off = ([lamp(seed, on=lit) for seed in range(900, 906)] for lit in (True, False))
    bank = bank_with_regions()
    for lit, dark in zip(found_by(bank, on), found_by(bank, off), strict=True):
        np.testing.assert_array_equal(lit.patch_scores, dark.patch_scores)
        assert lit.score < bank.manifest.threshold.value
        assert lit.patch_scores[1, 1] == 0
    without = built(window_with_lamp(), SETTINGS)
    assert all(found.score > without.manifest.threshold.value for found in found_by(without, on))


@pytest.mark.slow
def test_what_is_ignored_is_neither_learnt_nor_measured() -> None:
    """No patch of the bank is from there; statistics and sketches are those of a window without a lamp."""
    bank = bank_with_regions()
    assert bank.ignored is not None
    assert np.argwhere(bank.ignored).tolist() == [[1, 1]]
    assert not (bank.source_position == [1, 1]).all(axis=1).any()
    dark = built([lamp(seed, on=False) for seed in range(60)], SETTINGS.model_copy(update={"regions": AROUND}))
    np.testing.assert_array_equal(bank.calibration_statistics, dark.calibration_statistics)
    np.testing.assert_array_equal(bank.calibration_sketches, dark.calibration_sketches)


@pytest.mark.slow
def test_a_bank_says_by_which_regions_it_was_built() -> None:
    """As the settings have them, and for frames of which size."""
    manifest = bank_with_regions().manifest
    assert manifest.settings.regions == AROUND
    assert manifest.geometry.regions == AROUND.model_copy(update={"frame_wh": (64, 64)})
    assert manifest.remarks == []
    beyond = InspectedRegions(inspect=(((0, 0), (99, 0), (99, 99), (0, 99)),))
    bank = built(window_with_lamp(), SETTINGS.model_copy(update={"regions": beyond}))
    assert bank.manifest.remarks == ["regions.inspect[0] reaches beyond the frame of 64 x 64 px, and is cut off there"]
    assert bank.ignored is None


def test_regions_that_leave_nothing_end_the_build() -> None:
    """With the size of the frame, so that the slip shows."""
    outside = InspectedRegions(inspect=(((100, 100), (200, 100), (200, 200)),))
    with pytest.raises(NothingInspected, match="nothing of a frame of 64 x 64 px"):
        built(window_with_lamp(), SETTINGS.model_copy(update={"regions": outside}))


def test_an_answer_to_ignore_is_a_region_as_any_other() -> None:
    """The place that a person said to ignore, in shares of the frame, joins those of the settings."""
    label = LabelledFrames("g1", "ignore", "group", (0.5, 0.5, 0.75, 0.75), (lamp(17, on=True),))
    bank = built(window_with_lamp(), SETTINGS.model_copy(update={"regions": AROUND}), (label,))
    said = ((32.0, 32.0), (48.0, 32.0), (48.0, 48.0), (32.0, 48.0))
    assert bank.manifest.geometry.regions == InspectedRegions(ignore=(*AROUND.ignore, said), frame_wh=(64, 64))
    assert bank.ignored is not None
    assert np.argwhere(bank.ignored).tolist() == [[1, 1], [4, 4], [4, 5], [5, 4], [5, 5]]


def deep(seed: int, *, shift: int = 0, defect: bool = False) -> bytes:
    """The picture as 12 bits in 16, in the low bits or shifted up."""
    samples = picture(seed, defect=defect).astype(np.uint16) * 16 + 7
    return bytes(cv2.imencode(".png", samples << shift)[1])


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "depth"), [(0, 12), (4, 16)])
def test_twelve_bits_in_sixteen_are_noticed(shift: int, depth: int) -> None:
    """In the low bits, where they would be a dark picture, and in the high ones, where they are not."""
    frames = [deep(seed, shift=shift) for seed in range(60)]
    frames[3] = deep(3, shift=shift, defect=True)
    bank = built(frames, SETTINGS)
    assert bank.manifest.geometry.bit_depth == depth
    assert len(bank.manifest.remarks) == (depth == 12)
    brightness = bank.calibration_statistics[:, 0]
    assert brightness.mean() == pytest.approx(100 / 255, rel=0.05)


def test_a_depth_that_the_settings_give_is_taken() -> None:
    """And is no remark."""
    bank = built([deep(seed) for seed in range(60)], SETTINGS.model_copy(update={"bit_depth": 14}))
    assert bank.manifest.geometry.bit_depth == 14
    assert bank.manifest.remarks == []


@pytest.mark.slow
def test_a_window_that_is_darker_does_not_change_the_depth() -> None:
    """The parent's stands where it is larger; where the window shows more bits, those are taken."""
    first = built([deep(seed) for seed in range(60)], SETTINGS)
    dark = [bytes(cv2.imencode(".png", picture(seed).astype(np.uint16) * 3)[1]) for seed in range(60)]
    assert built(dark, SETTINGS).manifest.geometry.bit_depth == 10
    assert built(dark, SETTINGS, earlier=first).manifest.geometry.bit_depth == 12
    shallow = built(dark, SETTINGS)
    assert built([deep(seed) for seed in range(60)], SETTINGS, earlier=shallow).manifest.geometry.bit_depth == 12
