"""The trainer's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from softpatch.settings import BuildSettings
from trainer.settings import ViewTraining


def test_the_false_reject_ratio_of_a_view_goes_into_its_builds() -> None:
    """It is set once, beside the view's other wishes, and counts more than the one among the build's settings."""
    assert ViewTraining().build_settings == BuildSettings()
    build = BuildSettings(false_reject_ratio=0.1, lof_k=5)
    assert ViewTraining(build=build).build_settings.false_reject_ratio == 0.1
    wanted = ViewTraining(build=build, false_reject_ratio=0.03).build_settings
    assert (wanted.false_reject_ratio, wanted.lof_k) == (0.03, 5)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            {"first_build_frames": 500},
            "first_build_frames 500 is above window_frames 400: raise the latter",
        ),
        (
            {"window_span_frames": 100},
            "window_span_frames 100 is below window_frames 400: raise the former",
        ),
        ({"undecided_band": [1.1, 1.2]}, "undecided_band 1.1 to 1.2 must hold 1, the threshold, and begin above 0"),
        ({"undecided_band": [0, 1.2]}, "undecided_band 0 to 1.2 must hold 1, the threshold, and begin above 0"),
    ],
)
def test_settings_that_cannot_work_say_which_to_change(settings: dict[str, object], fault: str) -> None:
    """A window that never fills would never give a bank."""
    with pytest.raises(ValidationError, match=fault):
        ViewTraining.model_validate(settings)
