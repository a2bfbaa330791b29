"""The values that labels take, and the buckets of histograms, both chosen from what lines showed.

They stand here as well as in the contracts, because metrics import nothing of the other packages; the tests hold them
against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitoring.declared import OPEN, MetricLabel

if TYPE_CHECKING:
    from collections.abc import Mapping

VERDICTS = ("pass", "fail", "undecided")
UNDECIDED_REASONS = (
    "learning",
    "clock",
    "deadline",
    "near_threshold",
    "frame_size",
    "input_fault",
    "dead_letter_rate",
    "line_changed",
    "no_part",
    "no_score",
    "bank_refused",
)
DEAD_LETTER_REASONS = (
    "no_key",
    "bad_key",
    "bad_header",
    "unknown_schema",
    "claim_check_not_enabled",
    "claim_refused",
    "claim_missing",
    "claim_differs",
    "empty",
    "unsupported_format",
    "truncated",
    "too_many_pixels",
    "too_small",
    "too_costly",
    "corrupt",
    "too_many_views",
    "unreadable",
    "answer_too_large",
)
OPTIONAL_HEADERS = (
    "frame-id",
    "sequence",
    "captured-at",
    "content-type",
    "part-serial",
    "patchline-schema",
    "patchline-replay-of",
)
INFERENCE_STAGES = ("decode", "embed", "search", "score", "publish")
SERVICE_NAMES = ("train", "inspect", "watch", "record")
VIEW_STATES = ("learning", "provisional", "active", "held", "retired")
BUILD_STAGES = ("embed", "denoise", "subsample", "calibrate")
BUILD_VERDICTS = ("built", "failed", "refused")
COMMAND_VERDICTS = ("done", "refused")
FEEDBACK_VERDICTS = ("done", "refused")
GATE_BOUNDS = (
    "line_changed",
    "anchored_drift",
    "verdict_churn",
    "threshold_ratio",
    "score_shift",
    "noise_estimate",
    "coverage",
    "detection_drop",
    "golden_wrong",
    "shadow_flips",
)
GROUP_LABELS = ("open", "good", "defect", "no_part", "ignore")
INPUT_FAULTS = ("black", "overexposed", "frozen")
OF_NO_VIEW = ("bad_frame", "too_many_views", "other_partition")
SKIP_REASONS = (*OF_NO_VIEW, "duplicate", "thinned", "held", "mode_full", *INPUT_FAULTS)
DRIFT_STATISTICS = ("kolmogorov_smirnov", "wasserstein", "psi", "mmd_squared")
DRIFT_TESTS = ("kolmogorov_smirnov", "psi", "mmd_squared")
DRIFT_SKIP_REASONS = ("repeated", "not_measured", "no_calibration", "unreadable")
DRIFT_STAGES = ("follow", "calibration", "distances")
RECORD_STAGES = ("write", "pictures", "retention")

# A frame of 512 px takes 1 ms to decode, 4 to embed and 4 to search on two cores; a GPU divides that by ten.
STAGE_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1)
# Up to the default deadline of a frame, 5 s.
WAIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# `patchline bench` at 15 frames/s on 2 cores: half within 32 ms and 99 in 100 within 43 ms on Apache Kafka (35 and 48
# beside a build), 0.28 to 0.41 and 0.5 to 0.76 s on the embedded broker. Fine there; a p99 is held to 150 ms, a frame
# to 5 s by default, an alert to 1 s. No finer: a thousand views have a series of every edge.
LATENCY_SECONDS = (0.02, 0.035, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
# Held-out frames over banks of 100 to 200 frames of screw, ball_screw, impeller and magnetic tile, 224 px: good ones
# lie at 0.47 to 1.38 (medians 0.61 to 0.85), defective ones at 0.59 to 1.48, blurred screws at 1.8 to 2. The threshold
# is at 1: a bucket is 0.05 wide beside it, 0.1 down to 0.5. Exact scores are in the history.
SCORE_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.5, 2)
BATCH_FRAMES = (1, 2, 4, 8, 16, 32, 64, 128)
# A decision takes 0.1 ms to follow, the distances of one view 10 ms, a bank's calibration 5 to 100 ms.
DRIFT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
BUILD_SECONDS = (0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800)

NO_VIEW = ""  # of a record that names none
BY_VIEW: Mapping[MetricLabel, tuple[str, ...]] = {"view": OPEN}
