"""The drift service's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge, Histogram  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import OPEN, Metric
from monitoring.metrics.values import (
    BY_VIEW,
    DRIFT_SECONDS,
    DRIFT_SKIP_REASONS,
    DRIFT_STAGES,
    DRIFT_STATISTICS,
    DRIFT_TESTS,
)
from monitoring.verdicts import DRIFT_VERDICTS


@dataclass(frozen=True)
class WatchMetrics:
    """The drift service: decisions in, a verdict on each view out."""

    followed: Annotated[
        Counter,
        Metric(
            "patchline_drift_decisions_total", "decisions", "Decisions held against the bank's calibration.", BY_VIEW
        ),
    ]
    skipped: Annotated[
        Counter,
        Metric(
            "patchline_drift_decisions_skipped_total",
            "decisions",
            "Decisions read that say nothing of drift; view is empty where the record cannot be read.",
            {"view": OPEN, "reason": DRIFT_SKIP_REASONS},
        ),
    ]
    verdict: Annotated[
        Gauge,
        Metric(
            "patchline_drift_verdict",
            "0 or 1",
            "1 while the view is in an episode of drift of this name, 0 while it is not.",
            {"view": OPEN, "verdict": DRIFT_VERDICTS},
        ),
    ]
    episodes: Annotated[
        Counter, Metric("patchline_drift_episodes_total", "episodes", "Episodes of drift that were noticed.", BY_VIEW)
    ]
    noticed: Annotated[
        Gauge,
        Metric(
            "patchline_drift_noticed_timestamp_seconds",
            "seconds",
            "When the frame was decided at which the latest episode was noticed.",
            BY_VIEW,
        ),
    ]
    evidence: Annotated[
        Gauge,
        Metric(
            "patchline_drift_evidence_ratio",
            "ratio",
            "Evidence of drift over what an alarm takes: mostly far below 0.01; an episode opens at 1.",
            BY_VIEW,
        ),
    ]
    distance: Annotated[
        Gauge,
        Metric(
            "patchline_drift_distance",
            "its statistic's own",
            "How far the last 64 frames are from the bank's calibration; wasserstein in score_ratio.",
            {"view": OPEN, "statistic": DRIFT_STATISTICS},
        ),
    ]
    p_value: Annotated[
        Gauge,
        Metric(
            "patchline_drift_p_value_ratio",
            "ratio",
            "Chance that an undisturbed line is so far away, at one look; alarms come from evidence alone.",
            {"view": OPEN, "statistic": DRIFT_TESTS},
        ),
    ]
    rejected: Annotated[
        Gauge,
        Metric("patchline_drift_reject_ratio", "ratio", "Share of the last 64 frames above the threshold.", BY_VIEW),
    ]
    rejected_before: Annotated[
        Gauge,
        Metric(
            "patchline_drift_calibration_reject_ratio",
            "ratio",
            "Share of the bank's calibration frames above the threshold in force.",
            BY_VIEW,
        ),
    ]
    calibration_frames: Annotated[
        Gauge,
        Metric(
            "patchline_drift_calibration_frames", "frames", "Calibration frames that the view is held against.", BY_VIEW
        ),
    ]
    decided: Annotated[
        Gauge,
        Metric(
            "patchline_drift_decided_timestamp_seconds",
            "seconds",
            "When the newest followed frame was decided.",
            BY_VIEW,
        ),
    ]
    views: Annotated[Gauge, Metric("patchline_drift_views", "views", "Views that are followed now.")]
    forgotten: Annotated[
        Counter,
        Metric("patchline_drift_views_forgotten_total", "views", "Views given up: silent too long, or too many."),
    ]
    stage_seconds: Annotated[
        Histogram,
        Metric(
            "patchline_drift_stage_seconds",
            "seconds",
            "One decision followed, one bank's calibration read, one view's distances taken.",
            {"stage": DRIFT_STAGES},
            DRIFT_SECONDS,
        ),
    ]
