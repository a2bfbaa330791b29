"""The recorder's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge, Histogram  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import Metric
from monitoring.metrics.values import RECORD_STAGES, STAGE_SECONDS


@dataclass(frozen=True)
class RecordMetrics:
    """The recorder: decisions, events and pictures into the history."""

    recorded: Annotated[
        Counter, Metric("patchline_record_decisions_total", "decisions", "Decisions written, each once.")
    ]
    repeated: Annotated[
        Counter,
        Metric("patchline_record_repeated_total", "decisions", "Decisions read that the history has already."),
    ]
    unreadable: Annotated[
        Counter, Metric("patchline_record_unreadable_total", "records", "Records that are no message of their topic.")
    ]
    pictures: Annotated[
        Counter,
        Metric("patchline_record_pictures_total", "pictures", "Pictures looked after: kept, or found to be gone."),
    ]
    expired: Annotated[
        Counter, Metric("patchline_record_pictures_expired_total", "pictures", "Pictures forgotten by age or by size.")
    ]
    waiting: Annotated[
        Gauge, Metric("patchline_record_pictures_waiting", "pictures", "Pictures that wait to be fetched from Kafka.")
    ]
    failures: Annotated[
        Counter,
        Metric(
            "patchline_record_failures_total",
            "attempts",
            "Attempts that database, store or broker refused; they are made again.",
        ),
    ]
    written: Annotated[
        Gauge,
        Metric(
            "patchline_record_decided_timestamp_seconds",
            "seconds",
            "When the newest decision written was made.",
        ),
    ]
    stage_seconds: Annotated[
        Histogram,
        Metric(
            "patchline_record_stage_seconds",
            "seconds",
            "One batch of decisions written, one batch of pictures kept, one look for what expired.",
            {"stage": RECORD_STAGES},
            STAGE_SECONDS,
        ),
    ]
