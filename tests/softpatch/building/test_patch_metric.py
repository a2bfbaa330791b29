"""Where parts lie turned, directions in which patches differ from their nearest ones elsewhere count less."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from softpatch.building.fit import Fit, fit
from softpatch.building.label_window import KnownLabels
from softpatch.building.patch_metric import FEWEST_FRAMES, patch_metric
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings, ScoringRule
from tests.softpatch.gate.banks import buffer_of

FRAMES, SIDE, DIMENSION = 40, 6, 16
WIDE, NARROW = 1.5, 0.5
"""How far patches of a kind spread in the first half of the directions, and in the others."""

SETTINGS = BuildSettings(coreset_cap=300)


def part(frames: int = FRAMES, *, turned: bool, seed: int = 0) -> np.ndarray:
    """Every place of the part has a look of its own; turned, it lies somewhere else in each frame."""
    rng = np.random.default_rng(seed)
    looks = np.random.default_rng(9).normal(size=(SIDE * SIDE, DIMENSION)) * 4
    spread = np.where(np.arange(DIMENSION) < DIMENSION // 2, WIDE, NARROW)
    places = np.arange(SIDE * SIDE)
    shown = np.stack([looks[rng.permutation(places) if turned else places] for _ in range(frames)])
    found = shown + spread * rng.normal(size=shown.shape)
    return found.reshape(frames, SIDE, SIDE, DIMENSION).astype(np.float32)


def fitted(embeddings: np.ndarray, settings: BuildSettings = SETTINGS, *, window: int | None = None) -> Fit:
    """A bank of the first `window` frames, all of them by default; the others have a person's word."""
    with ThreadPoolExecutor(1) as pool:
        return fit(buffer_of(embeddings), settings, pool, known=KnownLabels(window or len(embeddings)))


def test_a_direction_in_which_the_same_things_differ_counts_less() -> None:
    """By at most the root of how far they spread: the nearest of many is near above all where things spread widely."""
    metric = patch_metric(buffer_of(part(turned=True)), frames=FRAMES, seed=0)
    assert metric is not None
    counts = np.linalg.norm(metric, axis=0)
    ratio = counts[: DIMENSION // 2].mean() / counts[DIMENSION // 2 :].mean()
    assert (NARROW / WIDE) ** 0.5 < ratio < 0.8
    np.testing.assert_allclose(metric, metric.T, atol=1e-6)


def test_defects_of_a_few_frames_do_not_say_what_counts() -> None:
    """A tenth of the frames differ far in one direction, at one of 36 places each."""
    embeddings = part(turned=True)
    plain = patch_metric(buffer_of(embeddings), frames=FRAMES, seed=0)
    embeddings[::10, 2, 3, -1] += 40
    marked = patch_metric(buffer_of(embeddings), frames=FRAMES, seed=0)
    assert plain is not None
    assert marked is not None
    np.testing.assert_allclose(marked, plain, atol=0.1)


def test_few_frames_or_copies_say_nothing() -> None:
    """Each needs others to have its nearest patches in, and something that they differ by."""
    few = FEWEST_FRAMES - 1
    assert patch_metric(buffer_of(part(few, turned=True)), frames=few, seed=0) is None
    copies = np.repeat(part(1, turned=True), FRAMES, axis=0)
    assert patch_metric(buffer_of(copies), frames=FRAMES, seed=0) is None


def test_a_bank_of_turned_parts_holds_its_patches_in_the_metric() -> None:
    """They are embeddings times it, and so is what is compared with them: a patch of the bank scores 0."""
    embeddings = part(turned=True)
    bank = fitted(embeddings).bank
    assert bank.metric is not None
    row, column = bank.patches.position.astype(int).T
    np.testing.assert_allclose(
        bank.patches.vectors, embeddings[bank.patches.frame, row, column] @ bank.metric, rtol=1e-4
    )
    alone = replace(bank, scoring=ScoringRule())
    of_frame = alone.scorer(FlatSearch).score(embeddings[bank.patches.frame[:1]])[0]
    assert of_frame.patch_scores[row[0], column[0]] == pytest.approx(0, abs=0.02)


def test_aligned_parts_and_the_papers_recipe_are_compared_as_they_are() -> None:
    """The paper's does not look how parts lie."""
    assert fitted(part(turned=False)).bank.metric is None
    paper = SETTINGS.model_copy(update={"discriminator": "lof", "removal": "patches"})
    assert fitted(part(turned=True), paper).bank.metric is None


def test_frames_with_a_word_do_not_say_what_counts() -> None:
    """They lie behind the window's, and may be defects."""
    embeddings = part(turned=True)
    metric = fitted(embeddings).bank.metric
    labelled = np.concatenate([embeddings, part(3, turned=True, seed=5) + 1])
    with_word = fitted(labelled, window=FRAMES).bank.metric
    assert metric is not None
    assert with_word is not None
    np.testing.assert_array_equal(with_word, metric)
