"""The settings refuse what cannot work."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from inference.settings import InferenceSettings, ViewInspection


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"queue_frames": 4, "batch_frames": 8}, "queue_frames must be at least batch_frames"),
        ({"drain_seconds": 0}, "greater than 0"),
        ({"metrics_port": 70000}, "less than or equal to 65535"),
        ({"queue_frams": 4}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_reason(wrong: dict[str, int], says: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError, match=says):
        InferenceSettings.model_validate(wrong)


@pytest.mark.parametrize("ratio", [0.5, 1.01])
def test_a_line_changes_from_more_than_half_of_its_frames_on(ratio: float) -> None:
    """It is well again at half: a smaller share would begin and end the change in turns."""
    with pytest.raises(ValidationError, match="line_changed_ratio"):
        ViewInspection(line_changed_ratio=ratio)


def test_a_view_may_not_switch_its_deadline_off() -> None:
    """A frame without a deadline could be passed when the part is gone."""
    with pytest.raises(ValidationError, match="greater than 0"):
        ViewInspection(deadline_seconds=0)
