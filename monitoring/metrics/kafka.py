"""The Kafka adapter's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge, Histogram  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import OPEN, Metric
from monitoring.metrics.values import WAIT_SECONDS


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
            "Records from the committed offset to the end of an owned partition, asked every few seconds: of frames, "
            "or of decisions where drift is watched. `partition` is its number, in a further topic of frames after the "
            "topic's name.",
            {"partition": OPEN},
        ),
    ]
    records_expired: Annotated[
        Counter,
        Metric(
            "patchline_kafka_records_expired_total",
            "records",
            "Records that the topic's retention deleted before they were read.",
            {"partition": OPEN},
        ),
    ]
    loop_silent: Annotated[
        Gauge, Metric("patchline_loop_silent_seconds", "seconds", "Since the service's loop last went round.")
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
    topics_too_narrow: Annotated[
        Gauge,
        Metric(
            "patchline_kafka_topics_too_narrow",
            "topics",
            "Topics of answers with fewer partitions than frames, which could not be added.",
        ),
    ]
