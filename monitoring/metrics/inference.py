"""The inference service's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge, Histogram, Info  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import OPEN, Metric
from monitoring.metrics.values import (
    BATCH_FRAMES,
    BY_VIEW,
    DEAD_LETTER_REASONS,
    INFERENCE_STAGES,
    INPUT_FAULTS,
    LATENCY_SECONDS,
    OPTIONAL_HEADERS,
    SCORE_RATIOS,
    STAGE_SECONDS,
    UNDECIDED_REASONS,
    VERDICTS,
    WAIT_SECONDS,
)


@dataclass(frozen=True)
class InferenceMetrics:
    """The inference service: frames in, decisions out."""

    frames_received: Annotated[
        Counter, Metric("patchline_frames_received_total", "frames", "Frames taken from Kafka.", BY_VIEW)
    ]
    decisions: Annotated[
        Counter,
        Metric("patchline_decisions_total", "decisions", "Decisions committed.", {"view": OPEN, "verdict": VERDICTS}),
    ]
    undecided: Annotated[
        Counter,
        Metric(
            "patchline_undecided_total",
            "decisions",
            "Undecided frames by the reason their decision gives.",
            {"view": OPEN, "reason": UNDECIDED_REASONS},
        ),
    ]
    shadow_scored: Annotated[
        Counter,
        Metric(
            "patchline_shadow_frames_total",
            "frames",
            "Frames that a bank in shadow scored beside the bank in force.",
            BY_VIEW,
            by_bank=True,
        ),
    ]
    shadow_dropped: Annotated[
        Counter,
        Metric(
            "patchline_shadow_frames_dropped_total",
            "frames",
            "Frames of the sample that were not scored in shadow: others waited, or they could not be.",
            BY_VIEW,
            by_bank=True,
        ),
    ]
    clock_skew: Annotated[
        Gauge,
        Metric(
            "patchline_clock_skew_seconds",
            "seconds",
            "How far this machine's clock is ahead of the broker's, as of the last commit.",
        ),
    ]
    dead_letters: Annotated[
        Counter,
        Metric(
            "patchline_dead_letters_total",
            "records",
            "Records that no decision could be made of; view is empty where the record names none.",
            BY_VIEW,
        ),
    ]
    # Apart from views: eighteen reasons of a thousand views would be a fifth of all series, hardly one above zero.
    dead_letters_by_reason: Annotated[
        Counter,
        Metric(
            "patchline_dead_letters_by_reason_total",
            "records",
            "The same, of all views together, by the reason that their dead letter gives.",
            {"reason": DEAD_LETTER_REASONS},
        ),
    ]
    # Apart from stage time on purpose: waiting calls for another process, working for a faster one.
    queue_wait: Annotated[
        Histogram,
        Metric("patchline_queue_wait_seconds", "seconds", "From queued to taken into a batch.", buckets=WAIT_SECONDS),
    ]
    # Without view: a batch holds frames of many views.
    stage_seconds: Annotated[
        Histogram,
        Metric(
            "patchline_stage_seconds",
            "seconds",
            "Work of one stage on one batch.",
            {"stage": INFERENCE_STAGES},
            STAGE_SECONDS,
        ),
    ]
    batch_frames: Annotated[
        Histogram, Metric("patchline_batch_frames", "frames", "Frames of one batch.", buckets=BATCH_FRAMES)
    ]
    queue_depth: Annotated[
        Gauge, Metric("patchline_queue_depth_frames", "frames", "Frames waiting in the bounded queue.")
    ]
    latency: Annotated[
        Histogram,
        Metric(
            "patchline_decision_latency_seconds",
            "seconds",
            "From the broker's append time of a frame to its decision.",
            BY_VIEW,
            LATENCY_SECONDS,
        ),
    ]
    score_ratio: Annotated[
        Histogram,
        Metric(
            "patchline_score_ratio",
            "ratio",
            "Anomaly score over threshold; 1 decides.",
            BY_VIEW,
            SCORE_RATIOS,
            by_bank=True,
        ),
    ]
    threshold: Annotated[
        Gauge,
        Metric("patchline_threshold", "L2 distance", "Decision threshold in force, a distance of its bank.", BY_VIEW),
    ]
    bank: Annotated[
        Info,
        Metric(
            "patchline_bank_info",
            "1",
            "The bank in force: its labels also say version, epoch, provider and precision.",
            BY_VIEW,
        ),
    ]
    bank_swaps: Annotated[
        Counter, Metric("patchline_bank_swaps_total", "swaps", "Banks put in force by this process.", BY_VIEW)
    ]
    bank_refusals: Annotated[
        Counter,
        Metric(
            "patchline_bank_refusals_total",
            "banks",
            "Banks not put in force: the file was invalid or its probes scored differently here.",
            BY_VIEW,
        ),
    ]
    input_faults: Annotated[
        Counter,
        Metric(
            "patchline_input_faults_total",
            "frames",
            "Frames that show nothing to inspect, whatever the view's policy decided of them.",
            {"view": OPEN, "reason": INPUT_FAULTS},
        ),
    ]
    duplicates: Annotated[
        Counter,
        Metric("patchline_duplicate_frames_total", "frames", "Frames whose frame id was decided before.", BY_VIEW),
    ]
    sequence_gaps: Annotated[
        Counter,
        Metric(
            "patchline_sequence_gap_frames_total",
            "frames",
            "Frames missing between two sequence numbers of one camera start: lost before Kafka.",
            BY_VIEW,
        ),
    ]
    headers_unread: Annotated[
        Counter,
        Metric(
            "patchline_headers_unread_total",
            "headers",
            "Optional headers that could not be read: their frames were decided without them.",
            {"header": OPTIONAL_HEADERS},
        ),
    ]
