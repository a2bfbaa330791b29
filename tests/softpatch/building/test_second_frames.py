"""How near a second frame's patch lies to each patch of a coreset, against the definition; what it does for a bank."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from softpatch.building.build import build_bank
from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.candidates import Candidates
from softpatch.building.coreset import SAMPLERS
from softpatch.building.cross_fit import bank_without
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import fit
from softpatch.building.patches import Patches
from softpatch.building.second_frames import second_frames, second_frames_of_refill, vouched_within
from softpatch.images.decode import decode
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings, SamplerName
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, encoded, names, picture

STATIC = slice(0, 24)
"""Rows of pixels that are the same in every frame: three rows of patches."""


def fixed(seed: int) -> np.ndarray:
    """A picture of a line whose upper part is a fixture that never varies: stripes a patch apart."""
    image = picture(seed).copy()
    image[STATIC] = np.where(np.arange(64) // 8 % 2, 30, 220)[None, :, None]
    return image


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_distance_is_to_the_nearest_patch_of_another_frame_that_a_pick_stands_for(sampler: SamplerName) -> None:
    """Per block of time, and for patches of no block in the last column."""
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(10, dtype=np.int32), 6)
    of = Candidates(rng.normal(size=(60, 3)).astype(np.float32), frame, np.zeros((60, 2), np.int16))
    coreset = SAMPLERS[sampler].draw(of.projected, 12, seed=0)
    blocks = [range(3), range(3, 8)]
    found = second_frames(of, coreset, blocks)
    for place, pick in enumerate(coreset.picks):
        for column, frames in enumerate([*blocks, range(8, 10)]):
            others = (coreset.nearest == place) & np.isin(frame, list(frames)) & (frame != frame[pick])
            distance = np.linalg.norm(of.projected[others] - of.projected[pick], axis=1).min(initial=np.inf)
            assert found[place, column] == pytest.approx(distance, rel=1e-5)


def test_frames_of_two_blocks_of_time_vouch_for_a_patch() -> None:
    """The farther of the two nearest blocks; a frame and its copies of one moment do not."""
    by_block = np.array([[1, 2, 5], [0, np.inf, np.inf], [np.inf] * 3], np.float32)
    assert vouched_within(by_block).tolist() == [2, np.inf, np.inf]
    assert vouched_within(by_block[:, :1]).tolist() == [np.inf] * 3


def test_of_a_refill_it_is_to_those_that_had_lost_the_same_pick() -> None:
    """Five patches in two clusters; the pick that has only its own frame beside it knows of no other."""
    frame, lost = np.array([0, 0, 1, 2, 2], np.int32), np.array([1, 1, 1, 0, 0], np.int32)
    of = Candidates(np.array([[0], [1], [4], [10], [12]], np.float32), frame, np.zeros((5, 2), np.int16))
    found = second_frames_of_refill(of, np.array([0, 2, 3]), lost, [range(1), range(1, 3)])
    assert found.tolist() == [[np.inf, 4, np.inf], [3, np.inf, np.inf], [np.inf] * 3]


@pytest.mark.slow
def test_a_static_area_does_not_set_the_score() -> None:
    """Every frame shows the same fixture, of which the bank holds one patch each: it scores next to nothing.

    By the bank's own patches alone, the second frame of a fixture's patch is the nearest other thing.
    """
    frames = [encoded(fixed(seed)) for seed in range(60)]
    settings = SETTINGS.model_copy(update={"blur_cells": 0.0})
    bank = build_bank(frames, MeanColours(), settings, view="line-1/cam-1", frame_names=names(frames), created_at="")
    pixels = np.stack([bank.manifest.geometry.apply(decode(encoded(fixed(seed)))) for seed in range(900, 905)])
    embeddings = MeanColours().embed(pixels)
    for found in Scorer(bank, FlatSearch(bank.vectors)).score(embeddings):
        assert found.patch_scores[:3].max() < 0.01 * found.score
        assert found.score < bank.manifest.threshold.value
    alone = replace(bank, second_frame_within=None)
    for found in Scorer(alone, FlatSearch(bank.vectors)).score(embeddings):
        assert found.worst_position[0] < 3
        assert found.score > bank.manifest.threshold.value


def test_what_a_block_vouches_for_is_unknown_without_it() -> None:
    """Patches of one frame of each block, alike and unlike all others: two of three vouch, one of two does not."""
    embeddings = np.random.default_rng(0).normal(size=(60, 3, 3, 4)).astype(np.float32)
    embeddings[[3, 30, 50], 1, 1] = 30
    buffer = MemoryBuffer(60, (3, 3, 4))
    buffer.append(embeddings)
    settings = BuildSettings(discriminator="none", groups="learn", coreset_ratio=0.3)
    with ThreadPoolExecutor(1) as pool:
        fitted = fit(buffer, settings, pool, blocks=calibration_blocks(60, 50))
    assert within_of_alike(fitted.bank.patches) == [0]
    assert [within_of_alike(bank_without(block, fitted).patches) for block in range(3)] == [[np.inf]] * 3


def within_of_alike(patches: Patches) -> list[float]:
    """Of the patches that are alike, those in the bank."""
    return patches.second_frame_within[(patches.vectors == 30).all(axis=1)].tolist()
