"""Which frames a calibration experiment learns from, and which it holds out."""

import pytest

from deploy.evaluation.protocol.folds import shuffled_folds


def test_every_good_frame_is_held_out_once_and_never_in_the_window_that_holds_it_out() -> None:
    """Twenty-five good frames in three folds."""
    folds = shuffled_folds(25, 40, noise=0.2, folds=3, seed=1)
    assert sorted(place for fold in folds for place in fold.held_good) == list(range(25))
    for fold in folds:
        good_in_window = {place for place in fold.window if place < 25}
        assert good_in_window == set(range(25)) - set(fold.held_good)


def test_noise_is_injected_defective_frames_over_good_ones_and_they_are_not_tested() -> None:
    """A fifth of the window's good frames, as many more; the rest of the defective frames are tested."""
    for fold in shuffled_folds(25, 40, noise=0.2, folds=3, seed=1):
        injected = {place - 25 for place in fold.window if place >= 25}
        assert len(injected) == round(0.2 * (len(fold.window) - len(injected)))
        assert injected | set(fold.held_defective) == set(range(40))
        assert not injected & set(fold.held_defective)


def test_too_few_defective_frames_are_refused() -> None:
    """Nine of ten needed."""
    with pytest.raises(ValueError, match=r"noise 0\.9 needs .* defective frames, there are 3"):
        shuffled_folds(30, 3, noise=0.9, folds=3, seed=0)
