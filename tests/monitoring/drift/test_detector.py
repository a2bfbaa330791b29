"""One view from its first decision to an episode and out of it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitoring.drift.bets import WATCHED
from monitoring.drift.conformal_ranks import REMEMBERED, RankHistory
from monitoring.drift.detector import WINDOW_FRAMES, Baseline, DriftState, distances, follow
from monitoring.drift.diagnosis import DriftVerdict
from monitoring.drift.observation import Observation
from monitoring.drift.reference import novelty
from tests.monitoring.drift.synthetic_streams import blurred, darker, dusty, followed, frames, other_product, window

if TYPE_CHECKING:
    from collections.abc import Callable


def bytes_of(state: DriftState) -> int:
    """What the arrays of a state hold."""
    kept = [state.watched, state.sketches, state.past.scores, state.past.younger]
    arrays = [*kept, *(a for e in (state.evidence, state.rank_evidence) for a in (e.strength, e.rising))]
    return sum(array.nbytes for array in arrays)


def settled(seed: int, *, window_frames: int = 300) -> tuple[Baseline, DriftState, np.random.Generator]:
    """A view that ran undisturbed for 300 frames, and a generator of its own for those that follow."""
    return deepcopy(_settled(seed, window_frames))


@cache
def _settled(seed: int, window_frames: int) -> tuple[Baseline, DriftState, np.random.Generator]:
    rng = np.random.default_rng(seed)
    baseline = Baseline.of(window(rng, window_frames))
    return baseline, followed(DriftState.start(baseline), frames(rng, 300), baseline), rng


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window_frames", [30, 300])
def test_an_undisturbed_line_stays_quiet(seed: int, window_frames: int) -> None:
    """1,000 frames each from the window's own distribution, after a first bank of 30 frames as well."""
    rng = np.random.default_rng(seed)
    baseline = Baseline.of(window(rng, window_frames))
    assert followed(DriftState.start(baseline), frames(rng, 1000), baseline).episode is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window_frames", [30, 300])
@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        (darker, DriftVerdict.DARKER),
        (lambda frame: darker(frame, 1.15), DriftVerdict.BRIGHTER),
        (blurred, DriftVerdict.OUT_OF_FOCUS),
        (other_product, DriftVerdict.PRODUCT_CHANGED),
    ],
)
def test_a_change_is_found_soon_and_named(
    changed: Callable[[Observation], Observation], verdict: DriftVerdict, seed: int, window_frames: int
) -> None:
    """Within 100 frames and by its own name, although each change moves the scores and the sketches, too."""
    baseline, state, rng = settled(seed, window_frames=window_frames)
    state = followed(state, (changed(frame) for frame in frames(rng, 100)), baseline)
    assert state.episode is not None
    assert state.episode.verdict is verdict
    assert state.episode.began <= state.episode.noticed <= 400


@pytest.mark.parametrize("seed", range(5))
def test_a_rising_defect_rate_is_told_from_a_changed_picture(seed: int) -> None:
    """From 2 to 25 % defects: most frames look as ever, so neither the camera nor the product is to blame."""
    baseline, state, rng = settled(seed)
    state = followed(state, frames(rng, 300, defects=0.25), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.DEFECT_RATE_ROSE


@pytest.mark.parametrize("seed", range(3))
def test_a_rise_that_the_calibration_hides_is_found_among_the_views_own_scores(seed: int) -> None:
    """The window held as many defects as there are now, so no limit of the bank's says anything."""
    rng = np.random.default_rng(seed)
    baseline = Baseline.of(window(rng, defects=0.25))
    state = followed(DriftState.start(baseline), frames(rng, 1500), baseline)
    assert state.episode is None
    state = followed(state, frames(rng, 400, defects=0.25), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.DEFECT_RATE_ROSE
    assert state.episode.cause is not None
    assert WATCHED[state.episode.cause.column] == "rank"


def test_a_worn_tool_does_not_hide_a_knocked_camera() -> None:
    """While the defect rate is up the lens loses its focus: the episode goes on under the graver name, then ends."""
    baseline, state, rng = settled(0)
    state = followed(state, frames(rng, 300, defects=0.25), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.DEFECT_RATE_ROSE
    began = state.episode.began
    for frame in frames(rng, 48):
        state = follow(state, blurred(frame), baseline)
    assert state.episode is not None
    assert (state.episode.verdict, state.episode.began) == (DriftVerdict.OUT_OF_FOCUS, began)
    for frame in frames(rng, 3 * WINDOW_FRAMES):
        state = follow(state, frame, baseline)
    assert state.episode is None


def test_a_camera_that_freezes_during_an_episode_is_told() -> None:
    """The lamp is dark, then the grabber hangs: the second is what has to be mended first."""
    baseline, state, rng = settled(1)
    state = followed(state, map(darker, frames(rng, 50)), baseline)
    (stuck,) = frames(rng, 1)
    for _ in range(40):
        state = follow(state, darker(stuck), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.FROZEN


def test_the_second_look_corrects_the_first_word() -> None:
    """An episode that a few frames named wrongly gets its right name from the next dozen, and keeps it."""
    baseline, state, rng = settled(2)
    state = followed(state, map(blurred, frames(rng, 50)), baseline)
    assert state.episode is not None
    state = replace(state, episode=replace(state.episode, verdict=DriftVerdict.PRODUCT_CHANGED))
    verdicts = []
    for frame in frames(rng, 40):
        state = follow(state, blurred(frame), baseline)
        assert state.episode is not None
        verdicts.append(state.episode.verdict)
    assert verdicts == [DriftVerdict.PRODUCT_CHANGED] * 11 + [DriftVerdict.OUT_OF_FOCUS] * 29


@pytest.mark.parametrize("passes_at", [0, 1], ids=["even frames pass", "odd ones do"])
@pytest.mark.parametrize("seed", range(3))
def test_dust_on_the_lens_is_no_new_product(seed: int, passes_at: int) -> None:
    """Most frames score high; once inference says that they do at one place, the word is corrected and stays so."""
    baseline, state, rng = settled(seed)
    verdicts = []
    for number, frame in enumerate(frames(rng, 120)):
        same_place = number == 17 or (number > 17 and number % 2 != passes_at)
        state = follow(state, replace(dusty(frame), same_place=same_place), baseline)
        verdicts.append(None if state.episode is None else state.episode.verdict)
    noticed = next(number for number, verdict in enumerate(verdicts) if verdict is not None)
    assert noticed < 17
    assert set(verdicts[noticed:17]) <= {DriftVerdict.PRODUCT_CHANGED, DriftVerdict.DEFECT_RATE_ROSE}
    assert set(verdicts[17:]) == {DriftVerdict.LENS_OR_FIXTURE}


def test_a_dark_lamp_is_named_although_its_frames_fail_at_one_place() -> None:
    """The brightest part of the picture fails most, on every frame: what the pixels say comes first."""
    baseline, state, rng = settled(3)
    for frame in frames(rng, 60):
        state = follow(state, replace(darker(frame), same_place=True), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.DARKER


def test_the_second_look_finds_the_camera_behind_one_place() -> None:
    """A word that was taken for the lens gives way to the camera, and to no change of the part."""
    baseline, state, rng = settled(2)
    state = followed(state, map(blurred, frames(rng, 50)), baseline)
    assert state.episode is not None
    state = replace(state, episode=replace(state.episode, verdict=DriftVerdict.LENS_OR_FIXTURE))
    for frame in frames(rng, 12):
        state = follow(state, replace(blurred(frame), same_place=True), baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.OUT_OF_FOCUS


def test_a_covered_lens_sees_nothing() -> None:
    """Black frames are named as such, not as dark ones."""
    baseline, state, rng = settled(0)
    black = (
        replace(frame, values=np.array([25.0, 1, 1, 0.5, 1.0, 0]), sketch=frame.sketch + 5) for frame in frames(rng, 50)
    )
    state = followed(state, black, baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.COVERED


def test_a_frozen_camera_is_found_and_thaws() -> None:
    """Thirty equal frames open the episode; the first new one ends it."""
    baseline, state, rng = settled(1)
    stuck, new = frames(rng, 2)
    state = followed(state, [stuck] * 40, baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.FROZEN
    assert state.episode.noticed - state.episode.began == 30
    assert follow(state, new, baseline).episode is None


def test_a_camera_that_sends_one_black_picture_sees_nothing() -> None:
    """No noise in it: equal frames, and yet the cable is well."""
    baseline, state, _ = settled(1)
    black = Observation(np.array([25.0, 0, 0, 0, 1, 0]), np.ones(32), "0" * 16)
    state = followed(state, [black] * 40, baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.COVERED


def test_frames_of_another_size_are_told_by_their_sizes_and_by_nothing_else() -> None:
    """Twelve of them open the episode; they are no evidence of darkness. Twelve of the right size end it."""
    baseline, state, rng = settled(1)
    baseline = replace(baseline, reference=replace(baseline.reference, frame_wh=(640, 480)))
    other = [replace(darker(frame), other_size_wh=(320, 240)) for frame in frames(rng, 200)]
    for frame in other[:11]:
        state = follow(state, frame, baseline)
        assert state.episode is None
    for frame in other[11:]:
        state = follow(state, frame, baseline)
        assert state.episode is not None
        assert state.episode.verdict is DriftVerdict.FRAME_SIZE_CHANGED
    assert state.episode is not None
    assert state.episode.detail == "from 640 x 480 to 320 x 240 px"
    assert state.episode.noticed - state.episode.began == 12
    open_after = []
    for frame in frames(rng, 12):
        state = follow(state, frame, baseline)
        open_after.append(state.episode is not None)
    assert open_after == [True] * 11 + [False]


def test_a_few_frames_of_another_size_among_many_are_none() -> None:
    """Every third one, from another camera's program, say: each right one takes one back."""
    baseline, state, rng = settled(1)
    mixed = (
        replace(frame, other_size_wh=(320, 240)) if number % 3 == 0 else frame
        for number, frame in enumerate(frames(rng, 200))
    )
    assert followed(state, mixed, baseline).episode is None


def test_frames_of_another_size_take_the_place_of_another_episode() -> None:
    """What was wrong before cannot be told on them."""
    baseline, state, rng = settled(3)
    state = followed(state, map(darker, frames(rng, 50)), baseline)
    assert state.episode is not None
    for frame in frames(rng, 12):
        state = follow(state, replace(frame, other_size_wh=(640, 360)), baseline)
    assert state.episode is not None
    assert (state.episode.verdict, state.episode.detail) == (DriftVerdict.FRAME_SIZE_CHANGED, "to 640 x 360 px")


def test_frames_lost_before_kafka_are_told() -> None:
    """One frame of ten missing: the pictures are as ever."""
    baseline, state, rng = settled(2)
    thinned = (replace(frame, missing=int(number % 9 == 8)) for number, frame in enumerate(frames(rng, 600)))
    state = followed(state, thinned, baseline)
    assert state.episode is not None
    assert state.episode.verdict is DriftVerdict.FRAMES_LOST


def test_a_line_that_is_well_again_ends_its_episode_and_is_watched_anew() -> None:
    """The episode holds while the lamp is dark, ends within three windows of its repair; a second knock is found."""
    baseline, state, rng = settled(3)
    state = followed(state, map(darker, frames(rng, 50)), baseline)
    for frame in frames(rng, 200):
        state = follow(state, darker(frame), baseline)
        assert state.episode is not None
    for frame in frames(rng, 3 * WINDOW_FRAMES):
        state = follow(state, frame, baseline)
    assert state.episode is None
    again = followed(state, map(blurred, frames(rng, 50)), baseline).episode
    assert again is not None
    assert again.verdict is DriftVerdict.OUT_OF_FOCUS


def test_memory_is_flat() -> None:
    """A state stays below 128 kB when its past is full, and the state before is left as it was."""
    rng = np.random.default_rng(4)
    baseline = Baseline.of(window(rng))
    start = state = DriftState.start(baseline)
    older = np.sort(rng.normal(20, 2, REMEMBERED - 100)).astype(np.float32)
    state = replace(state, past=RankHistory(older, older[100::2]))
    largest = 0
    for frame in frames(rng, 200):
        state = follow(state, frame, baseline)
        largest = max(largest, bytes_of(state))
    assert bytes_of(start) + REMEMBERED * 4 < largest < 128_000
    assert len(state.past.scores) < REMEMBERED
    assert start.seen == 0
    assert not start.watched.any()


def test_the_newest_frames_are_the_last_ones() -> None:
    """The ring gives the last rows, novelty included, however often it went round."""
    baseline, state, rng = settled(5)
    last = list(frames(rng, 100))
    for frame in last:
        state = follow(state, frame, baseline)
    expected = np.array([[*one.values, novelty(one.sketch, baseline.reference)] for one in last[-10:]])
    assert state.newest(10)[:, :7] == pytest.approx(expected)


def test_distances_tell_a_change_and_keep_quiet_without_one() -> None:
    """All three p-values fall to the ground for another product, and stay above it before; a part window is refused."""
    baseline, state, rng = settled(6)
    before = distances(state, baseline, rng)
    assert min(before.kolmogorov_smirnov_p, before.psi_p, before.mmd_p) > 0.005
    for frame in frames(rng, WINDOW_FRAMES):
        state = follow(state, other_product(frame), baseline)
    after = distances(state, baseline, rng)
    assert max(after.kolmogorov_smirnov_p, after.psi_p, after.mmd_p) < 0.005
    assert after.wasserstein > before.wasserstein
    with pytest.raises(ValueError, match=r"^0 frames seen, distances need 64$"):
        distances(DriftState.start(baseline), baseline, rng)
