"""Frozen cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitoring.drift.frozen_camera import REPEATS_OF_AN_EPISODE, FrozenCamera, same_instant
from tests.monitoring.drift.synthetic_streams import frames


def test_a_camera_is_frozen_after_many_equal_frames_never_after_one() -> None:
    """Two equal frames in a row are a rigid part; thirty are a dead grabber."""
    one, other = frames(np.random.default_rng(0), 2)
    state = FrozenCamera().after(one, still=0.1)
    for repeated in range(1, REPEATS_OF_AN_EPISODE + 1):
        assert not state.frozen
        state = state.after(one, still=0.1)
        assert state.equal_in_a_row == repeated
    assert state.frozen
    assert not state.after(other, still=0.1).frozen


def test_frames_within_the_views_own_noise_show_one_instant() -> None:
    """A grabber that encodes the same picture anew gives sketches nearer than any two of the window."""
    (one,) = frames(np.random.default_rng(1), 1)
    again = replace(one, sketch=one.sketch + 0.001)
    assert same_instant(one, again, still=0.01)
    assert not same_instant(one, again, still=0.001)
    assert not same_instant(one, replace(again, difference_hash="0" * 16), still=0.01)


def test_identical_frames_are_equal_where_the_window_has_no_noise() -> None:
    """A window with doubled frames has no noise floor; bit-identical frames are still told."""
    (one,) = frames(np.random.default_rng(2), 1)
    assert same_instant(one, one, still=0.0)
