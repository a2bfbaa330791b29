"""The default with its questions answered: each group once, by the truth, and the build goes on with the word."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from jaxtyping import Float32

from deploy.evaluation.methods.answered_groups import fit_answered, fit_default
from deploy.evaluation.methods.training_window import TrainingWindow
from deploy.evaluation.results.rows import Question
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import Fit
from softpatch.images.geometry import Geometry
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings

FRAMES, CARRIERS = 60, 8
PLACE = (slice(4, 6), slice(4, 6))
SETTINGS = BuildSettings(coreset_cap=200)


def patches(frames: int, *, marked: int, seed: int) -> Float32[np.ndarray, "n p q d"]:
    """Noise; the first frames carry the same mark at one place."""
    drawn = np.random.default_rng(seed).standard_normal((frames, 10, 10, 32)).astype(np.float32)
    mark = np.random.default_rng(99).standard_normal((2, 2, 32)).astype(np.float32)
    drawn[:marked, *PLACE] += 3 * mark
    return drawn


def window_of(embeddings: Float32[np.ndarray, "n p q d"], good: range) -> TrainingWindow:
    """The window with a picture for every frame, no two alike."""
    buffer = MemoryBuffer(len(embeddings), embeddings.shape[1:])
    buffer.append(embeddings)
    pictures = (np.full((64, 64, 3), number, np.uint8) for number in range(len(embeddings)))
    encoded = tuple(cv2.imencode(".png", picture)[1].tobytes() for picture in pictures)
    return TrainingWindow(buffer, tuple(good), encoded, Geometry(height_px=64, width_px=64))


def at_the_mark(fitted: Fit, embeddings: Float32[np.ndarray, "n p q d"]) -> float:
    """The median patch score at the mark's place."""
    found = fitted.bank.scorer(FlatSearch).score(embeddings)
    return float(np.median([frame.patch_scores[PLACE] for frame in found]))


@pytest.mark.slow
def test_a_group_of_good_frames_is_answered_good_and_learnt() -> None:
    """New parts with the mark scored far more than others until somebody said that they are good."""
    window = window_of(patches(FRAMES, marked=CARRIERS, seed=0), good=range(FRAMES))
    with ThreadPoolExecutor(1) as pool:
        silent, asked = fit_default(window, SETTINGS, pool)
        answered, questions = fit_answered(window, SETTINGS, pool)
    assert asked == (Question(frames=CARRIERS, defective=0, answer=None),)
    assert questions == (Question(frames=CARRIERS, defective=0, answer="good"),)
    new, plain = patches(20, marked=20, seed=1), patches(20, marked=0, seed=1)
    assert at_the_mark(silent, new) > 1.3 * at_the_mark(silent, plain)
    assert at_the_mark(answered, new) < 1.1 * at_the_mark(answered, plain)
    assert answered.labels.not_learnt.sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("defective", "answer"), [(3, "good"), (4, "defect")])
def test_the_answer_is_good_only_where_most_frames_of_the_group_are(defective: int, answer: str) -> None:
    """A group of which half is defective is no good variant, and stays out of the bank."""
    window = window_of(patches(FRAMES, marked=CARRIERS, seed=0), good=range(defective, FRAMES))
    with ThreadPoolExecutor(1) as pool:
        fitted, questions = fit_answered(window, SETTINGS, pool)
    assert questions == (Question(frames=CARRIERS, defective=defective, answer=answer),)
    learnt = ~fitted.labels.not_learnt[:CARRIERS]
    assert learnt.all() if answer == "good" else not learnt.any()
    (group,) = fitted.labels.groups
    assert (group.label, group.group is None) == (answer, False)


@pytest.mark.slow
def test_a_window_without_groups_is_built_once_and_alike() -> None:
    """Nobody is asked, and both methods make the same bank."""
    window = window_of(patches(FRAMES, marked=0, seed=0), good=range(FRAMES))
    with ThreadPoolExecutor(1) as pool:
        silent, asked = fit_default(window, SETTINGS, pool)
        answered, questions = fit_answered(window, SETTINGS, pool)
    assert asked == questions == ()
    np.testing.assert_array_equal(silent.bank.patches.vectors, answered.bank.patches.vectors)
