"""Every metric of every service, declared once: the annotation of a field is its declaration.

`declare_*` puts a service's metrics on a registry; `python -m monitoring.metrics_page` prints docs/metrics.md from the
same annotations. The values a label takes stand here as well, so that `open_view` can show each series at zero from the
start and the page can count series. Nothing of the other packages is imported; the tests hold the values against their
contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from prometheus_client import Counter, Gauge, Histogram, Info  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import OPEN, Label, Metric, declare
from monitoring.declared import close_view as close_view  # noqa: PLC0414 -- services find all they need here
from monitoring.declared import open_view as open_view  # noqa: PLC0414 -- the same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

VERDICTS = ("pass", "fail", "undecided")
UNDECIDED_REASONS = (
    "learning",
    "deadline",
    "near_threshold",
    "input_fault",
    "dead_letter_rate",
    "line_changed",
    "no_score",
    "bank_refused",
)
DEAD_LETTER_REASONS = (
    "no_key",
    "bad_key",
    "bad_header",
    "unknown_schema",
    "claim_check_not_enabled",
    "empty",
    "unsupported_format",
    "truncated",
    "too_many_pixels",
    "too_small",
    "corrupt",
)
INFERENCE_STAGES = ("decode", "embed", "search", "score", "publish")
VIEW_STATES = ("learning", "provisional", "active", "held")
BUILD_STAGES = ("embed", "discriminate", "condense", "calibrate")
BUILD_VERDICTS = ("built", "failed", "refused")
COMMAND_VERDICTS = ("done", "refused")
INPUT_FAULTS = ("black", "overexposed", "frozen")
SKIP_REASONS = ("bad_frame", "duplicate", "thinned", "held", *INPUT_FAULTS)
DRIFT_VERDICTS = (
    "camera_sees_nothing",
    "camera_got_darker",
    "camera_got_brighter",
    "camera_out_of_focus",
    "camera_contrast_changed",
    "camera_frozen",
    "frames_lost",
    "product_changed",
    "defect_rate_rose",
    "scores_fell",
)
DRIFT_STATISTICS = ("kolmogorov_smirnov", "wasserstein", "psi", "mmd_squared")
DRIFT_TESTS = ("kolmogorov_smirnov", "psi", "mmd_squared")
DRIFT_SKIP_REASONS = ("repeated", "not_measured", "no_calibration", "unreadable")
DRIFT_STAGES = ("follow", "calibration", "distances")

# A frame of 512 px takes 1 ms to decode, 4 to embed and 4 to search on two cores; a GPU divides that by ten.
STAGE_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1)
# Up to the default deadline of a frame, 5 s.
WAIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# `patchline bench` at 15 frames/s on 2 cores: half within 32 ms and 99 in 100 within 43 ms on Apache Kafka (35 and 48
# beside a build), 0.28 to 0.41 and 0.5 to 0.76 s on the embedded broker. Fine there; a p99 is held to 150 ms, a frame
# to 5 s by default.
LATENCY_SECONDS = (0.01, 0.02, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1, 2.5, 5, 10)
# Held-out frames over banks of 100 to 200 frames of screw, ball_screw, impeller and magnetic tile, 224 px: good ones
# lie at 0.47 to 1.38 (medians 0.61 to 0.85), defective ones at 0.59 to 1.48, blurred screws at 1.8 to 2. The threshold
# is at 1; around it and down to 0.5 a bucket is 0.05 wide.
SCORE_RATIOS = (
    *(0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    *(1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2, 4),
)
BATCH_FRAMES = (1, 2, 4, 8, 16, 32, 64, 128)
# A decision takes 0.1 ms to follow, the distances of one view 10 ms, a bank's calibration 5 to 100 ms.
DRIFT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
BUILD_SECONDS = (0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800)

NO_VIEW = ""  # of a record that names none
BY_VIEW: Mapping[Label, tuple[str, ...]] = {"view": OPEN}


@dataclass(frozen=True)
class KafkaMetrics:
    """The Kafka adapter: every service that reads or writes topics."""

    records_polled: Annotated[Counter, Metric("patchline_kafka_records_polled_total", "records", "Records taken.")]
    polls_failed: Annotated[
        Counter, Metric("patchline_kafka_polls_failed_total", "polls", "Polls that ended in an error and are retried.")
    ]
    transactions_committed: Annotated[
        Counter, Metric("patchline_kafka_transactions_committed_total", "transactions", "Transactions committed.")
    ]
    transactions_aborted: Annotated[
        Counter,
        Metric(
            "patchline_kafka_transactions_aborted_total",
            "transactions",
            "Transactions aborted; their input is read again.",
        ),
    ]
    commit_seconds: Annotated[
        Histogram,
        Metric(
            "patchline_kafka_commit_seconds", "seconds", "Flush and commit of one transaction.", buckets=WAIT_SECONDS
        ),
    ]
    consumer_lag: Annotated[
        Gauge,
        Metric(
            "patchline_kafka_consumer_lag_records",
            "records",
            "Records behind the end of an owned partition: of frames, or of decisions where drift is watched.",
            {"partition": OPEN},
        ),
    ]
    partitions_owned: Annotated[
        Gauge, Metric("patchline_kafka_partitions_owned", "partitions", "Partitions assigned to this process.")
    ]
    partitions_paused: Annotated[
        Gauge,
        Metric(
            "patchline_kafka_partitions_paused", "partitions", "Owned partitions not read because the queue is full."
        ),
    ]
    rebalances: Annotated[
        Counter, Metric("patchline_kafka_rebalances_total", "rebalances", "Times that partitions came or went.")
    ]


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
    dead_letters: Annotated[
        Counter,
        Metric(
            "patchline_dead_letters_total",
            "records",
            "Records that no decision could be made of; view is empty where the record names none.",
            {"view": OPEN, "reason": DEAD_LETTER_REASONS},
        ),
    ]
    # Apart from stage time on purpose: waiting asks for another process, working asks for a faster one.
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
        Metric("patchline_score_ratio", "ratio", "Anomaly score over threshold; 1 decides.", BY_VIEW, SCORE_RATIOS),
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
            "Frames that show nothing to judge, whatever the view's policy decided of them.",
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


@dataclass(frozen=True)
class TrainerMetrics:
    """The trainer: frames into windows, windows into banks."""

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
    commands: Annotated[
        Counter,
        Metric(
            "patchline_commands_total", "commands", "Commands carried out.", {"view": OPEN, "verdict": COMMAND_VERDICTS}
        ),
    ]


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


@dataclass(frozen=True)
class CameraMetrics:
    """A camera: frames on their way into Kafka."""

    frames_sent: Annotated[
        Counter, Metric("patchline_camera_frames_sent_total", "frames", "Frames handed to the producer.", BY_VIEW)
    ]
    bytes_sent: Annotated[
        Counter, Metric("patchline_camera_sent_bytes_total", "bytes", "Encoded image bytes handed over.", BY_VIEW)
    ]
    frames_failed: Annotated[
        Counter, Metric("patchline_camera_frames_failed_total", "frames", "Frames the broker did not take.", BY_VIEW)
    ]
    behind: Annotated[
        Gauge,
        Metric("patchline_camera_behind_seconds", "seconds", "How far sending lags behind the asked rate.", BY_VIEW),
    ]


SERVICES = (InferenceMetrics, TrainerMetrics, WatchMetrics, CameraMetrics, KafkaMetrics)


def declare_inference(registry: CollectorRegistry) -> InferenceMetrics:
    """The inference service's metrics, on this registry."""
    metrics = declare(InferenceMetrics, registry)
    for reason in DEAD_LETTER_REASONS:
        metrics.dead_letters.labels(view=NO_VIEW, reason=reason)
    return metrics


def declare_trainer(registry: CollectorRegistry) -> TrainerMetrics:
    """The trainer's metrics, on this registry."""
    metrics = declare(TrainerMetrics, registry)
    metrics.frames_skipped.labels(NO_VIEW, "bad_frame")
    return metrics


def declare_watch(registry: CollectorRegistry) -> WatchMetrics:
    """The drift service's metrics, on this registry."""
    metrics = declare(WatchMetrics, registry)
    metrics.skipped.labels(NO_VIEW, "unreadable")
    return metrics


def declare_camera(registry: CollectorRegistry) -> CameraMetrics:
    """A camera's metrics, on this registry."""
    return declare(CameraMetrics, registry)


def declare_kafka(registry: CollectorRegistry) -> KafkaMetrics:
    """The Kafka adapter's metrics, on this registry."""
    return declare(KafkaMetrics, registry)


def set_state(metrics: TrainerMetrics, view: str, state: str) -> None:
    """Put 1 at the state the view is in and 0 at the others. Raises ValueError for a state that is none."""
    if state not in VIEW_STATES:
        raise ValueError(f"view state {state!r} must be one of {', '.join(VIEW_STATES)}")
    for stage in VIEW_STATES:
        metrics.view_state.labels(view=view, stage=stage).set(stage == state)


def set_drift(metrics: WatchMetrics, view: str, verdict: str | None) -> None:
    """Put 1 at what happens to the view and 0 at all else; None: nothing. Raises ValueError for an unknown verdict."""
    if verdict is not None and verdict not in DRIFT_VERDICTS:
        raise ValueError(f"drift verdict {verdict!r} must be one of {', '.join(DRIFT_VERDICTS)}")
    for each in DRIFT_VERDICTS:
        metrics.verdict.labels(view=view, verdict=each).set(each == verdict)


def set_bank(metrics: InferenceMetrics, view: str, *, version: str, epoch: int, provider: str, precision: str) -> None:
    """Name the bank in force; the labels of the one before go with it."""
    said = {"version": version, "epoch": str(epoch), "provider": provider, "precision": precision}
    metrics.bank.labels(view=view).info(said)
