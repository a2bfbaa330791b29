"""The verdicts of drift, as metrics, settings and alerts name them."""

from typing import Literal, get_args

DriftVerdictLabel = Literal[
    "camera_sees_nothing",
    "camera_got_darker",
    "camera_got_brighter",
    "camera_out_of_focus",
    "camera_contrast_changed",
    "camera_frozen",
    "frame_size_changed",
    "frames_lost",
    "lens_or_fixture_changed",
    "product_changed",
    "defect_rate_rose",
    "scores_fell",
]
DRIFT_VERDICTS: tuple[DriftVerdictLabel, ...] = get_args(DriftVerdictLabel)
