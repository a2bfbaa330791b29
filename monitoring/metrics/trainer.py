"""The trainer's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge, Histogram  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import OPEN, Metric
from monitoring.metrics.values import (
    BUILD_SECONDS,
    BUILD_STAGES,
    BUILD_VERDICTS,
    BY_VIEW,
    COMMAND_VERDICTS,
    FEEDBACK_VERDICTS,
    GATE_BOUNDS,
    GROUP_LABELS,
    SKIP_REASONS,
    VIEW_STATES,
)


@dataclass(frozen=True)
class TrainerMetrics:
    """The trainer: frames into windows, windows into banks."""

    store_failing: Annotated[
        Gauge, Metric("patchline_store_failing", "", "1 where the store did not take the last file: full, or away.")
    ]
    limits_changed: Annotated[
        Counter,
        Metric(
            "patchline_limits_changed_total",
            "changes",
            "Thresholds and bands that a command changed; the bank event says who and why.",
            BY_VIEW,
        ),
    ]
    frames_collected: Annotated[
        Counter, Metric("patchline_trainer_frames_collected_total", "frames", "Frames put in the window.", BY_VIEW)
    ]
    frames_skipped: Annotated[
        Counter,
        Metric(
            "patchline_trainer_frames_skipped_total",
            "frames",
            "Frames read and not kept; view is empty where the record names none.",
            {"view": OPEN, "reason": SKIP_REASONS},
        ),
    ]
    window_frames: Annotated[Gauge, Metric("patchline_window_frames", "frames", "Frames in the window.", BY_VIEW)]
    window_bytes: Annotated[
        Gauge, Metric("patchline_window_bytes", "bytes", "Encoded bytes of the window's frames.", BY_VIEW)
    ]
    view_state: Annotated[
        Gauge,
        Metric(
            "patchline_view_state", "0 or 1", "1 at the state the view is in.", {"view": OPEN, "stage": VIEW_STATES}
        ),
    ]
    builds: Annotated[
        Counter,
        Metric(
            "patchline_builds_total",
            "builds",
            "Builds ended; refused: built, and the gate kept it out of force.",
            {"view": OPEN, "verdict": BUILD_VERDICTS},
        ),
    ]
    gate_refusals: Annotated[
        Counter,
        Metric(
            "patchline_gate_refusals_total",
            "refusals",
            "Bounds that refused banks broke; one bank may break several.",
            {"view": OPEN, "bound": GATE_BOUNDS},
        ),
    ]
    gate_measure: Annotated[
        Gauge,
        Metric(
            "patchline_gate_measure",
            "",
            "What the gate measured of the newest bank, by bound: shares, a ratio of thresholds, words not followed.",
            {"view": OPEN, "bound": GATE_BOUNDS},
        ),
    ]
    build_seconds: Annotated[
        Histogram,
        Metric(
            "patchline_build_stage_seconds",
            "seconds",
            "One stage of one build.",
            {"stage": BUILD_STAGES},
            BUILD_SECONDS,
        ),
    ]
    build_progress: Annotated[
        Gauge,
        Metric("patchline_build_progress_ratio", "ratio", "How far the running build is; 0 when none runs.", BY_VIEW),
    ]
    bank_created: Annotated[
        Gauge,
        Metric("patchline_bank_created_timestamp_seconds", "seconds", "When the newest bank was built.", BY_VIEW),
    ]
    bank_patches: Annotated[
        Gauge, Metric("patchline_bank_patches", "patches", "Patches of the newest bank built.", BY_VIEW)
    ]
    noise_estimate: Annotated[
        Gauge,
        Metric("patchline_noise_estimate_ratio", "ratio", "Defective share of the window, as estimated.", BY_VIEW),
    ]
    planted_found: Annotated[
        Gauge,
        Metric(
            "patchline_planted_found_ratio",
            "ratio",
            "Of the defects planted into the newest bank's window, the share it finds; NaN where none were planted.",
            BY_VIEW,
        ),
    ]
    smallest_found: Annotated[
        Gauge,
        Metric(
            "patchline_smallest_found_px",
            "pixels",
            "Pixels of the frame from which the newest bank finds nine of ten planted defects (a90); NaN where "
            "it finds none so often.",
            BY_VIEW,
        ),
    ]
    commands: Annotated[
        Counter,
        Metric(
            "patchline_commands_total", "commands", "Commands carried out.", {"view": OPEN, "verdict": COMMAND_VERDICTS}
        ),
    ]
    groups: Annotated[
        Gauge,
        Metric(
            "patchline_groups",
            "groups",
            "Groups of the few that builds found, by the label in force; open: nobody has answered.",
            {"view": OPEN, "label": GROUP_LABELS},
        ),
    ]
    feedback: Annotated[
        Counter,
        Metric(
            "patchline_feedback_total",
            "messages",
            "Words of people on frames and groups that were carried out or refused.",
            {"view": OPEN, "verdict": FEEDBACK_VERDICTS},
        ),
    ]
    partition_changes: Annotated[
        Counter,
        Metric(
            "patchline_partition_changes_total",
            "frames",
            "Frames of a view that came from another partition than the one before: senders partition differently.",
        ),
    ]
    records_set_aside: Annotated[
        Counter,
        Metric(
            "patchline_trainer_records_set_aside_total",
            "records",
            "Frames not learnt from, and commands and feedback refused, because every try of them failed.",
        ),
    ]
    banks_lost: Annotated[
        Counter,
        Metric(
            "patchline_bank_lost_total",
            "banks",
            "Times that the store had no file of the bank in force; the trainer builds a new one.",
            BY_VIEW,
        ),
    ]
