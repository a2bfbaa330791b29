"""The processes: what they read, where frames wait, where time goes."""

from __future__ import annotations

from monitoring.dashboards.panel import Dashboard, Panel, Query

SERVICES = Dashboard(
    uid="patchline-services",
    title="Patchline: services",
    panels=(
        Panel(
            "Processes that answer",
            "1 where Prometheus reaches the process.",
            (Query('up{job=~"patchline-(inspect|train|watch|record)"}', "{{job}} {{instance}}"),),
        ),
        Panel(
            "Restarts",
            "Services that `patchline up` had to start again, within 10 minutes, and how many of each run now.",
            (
                Query("sum by (service) (increase(patchline_service_restarts_total[10m]))", "{{service}} restarts"),
                Query("sum by (service) (patchline_service_running)", "{{service}} runs"),
            ),
        ),
        Panel(
            "Records deleted unread",
            "Within an hour: the topic's retention was shorter than the service was behind.",
            (
                Query(
                    "sum by (job, partition) (increase(patchline_kafka_records_expired_total[1h]))",
                    "{{job}} {{partition}}",
                ),
            ),
        ),
        Panel(
            "Clock ahead of the broker's",
            "Seconds, as of the last commit. Ages of frames are measured by the broker's clock.",
            (Query("patchline_clock_skew_seconds", "{{instance}}"),),
            unit="s",
        ),
        Panel(
            "Since the loop went round",
            "Seconds: a service that hangs ends itself after two minutes and is started again.",
            (Query("patchline_loop_silent_seconds", "{{job}} {{instance}}"),),
            unit="s",
        ),
        Panel(
            "Frames behind",
            "Records of each partition that wait: frames for inspection and trainer, decisions for the drift service.",
            (Query("sum by (job, partition) (patchline_kafka_consumer_lag_records)", "{{job}} {{partition}}"),),
        ),
        Panel(
            "Records taken",
            "Records a second from Kafka.",
            (
                Query(
                    "sum by (job, instance) (rate(patchline_kafka_records_polled_total[$__rate_interval]))",
                    "{{job}} {{instance}}",
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Failed polls and aborted transactions",
            "Within 5 minutes. An abort loses nothing: its frames are read again.",
            (
                Query("sum by (job) (increase(patchline_kafka_polls_failed_total[5m]))", "{{job}} failed polls"),
                Query("sum by (job) (increase(patchline_kafka_transactions_aborted_total[5m]))", "{{job}} aborted"),
            ),
        ),
        Panel(
            "Transactions",
            "Committed a second.",
            (Query("sum by (job) (rate(patchline_kafka_transactions_committed_total[$__rate_interval]))", "{{job}}"),),
            unit="cps",
        ),
        Panel(
            "Commit, 99 in 100",
            "Flush and commit of one transaction: the broker's share of latency.",
            (
                Query(
                    "histogram_quantile(0.99, sum by (job, le)"
                    " (rate(patchline_kafka_commit_seconds_bucket[$__rate_interval])))",
                    "{{job}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Waiting, 99 in 100",
            "From queued to taken into a batch: where it grows, start another process.",
            (
                Query(
                    "histogram_quantile(0.99, sum by (instance, le)"
                    " (rate(patchline_queue_wait_seconds_bucket[$__rate_interval])))",
                    "{{instance}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Working",
            "Mean time of each stage on one batch: where it grows, take a faster machine.",
            (
                Query(
                    "sum by (stage) (rate(patchline_stage_seconds_sum[$__rate_interval]))"
                    " / sum by (stage) (rate(patchline_stage_seconds_count[$__rate_interval]))",
                    "{{stage}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Queue",
            "Frames waiting in each process.",
            (Query("sum by (instance) (patchline_queue_depth_frames)", "{{instance}}"),),
        ),
        Panel(
            "Batch",
            "Mean frames of one batch: near the setting, the process has no time left.",
            (
                Query(
                    "sum by (instance) (rate(patchline_batch_frames_sum[$__rate_interval]))"
                    " / sum by (instance) (rate(patchline_batch_frames_count[$__rate_interval]))",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Partitions",
            "Owned, and of these not read because the queue is full.",
            (
                Query("sum by (job, instance) (patchline_kafka_partitions_owned)", "{{job}} {{instance}} owned"),
                Query("sum by (job, instance) (patchline_kafka_partitions_paused)", "{{job}} {{instance}} paused"),
                Query("max(patchline_kafka_topics_too_narrow)", "topics of answers with too few"),
            ),
        ),
        Panel(
            "Rebalances",
            "Times within 5 minutes that partitions came or went.",
            (Query("sum by (job) (increase(patchline_kafka_rebalances_total[5m]))", "{{job}}"),),
        ),
        Panel(
            "Drift: decisions followed and skipped",
            "Decisions a second held against their bank's calibration, and those that say nothing of drift, by reason.",
            (
                Query("sum(rate(patchline_drift_decisions_total[$__rate_interval]))", "followed"),
                Query(
                    "sum by (reason) (rate(patchline_drift_decisions_skipped_total[$__rate_interval]))", "{{reason}}"
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Drift: time of a stage",
            "Mean: one decision followed, one bank's calibration read, one view's distances taken.",
            (
                Query(
                    "sum by (stage) (rate(patchline_drift_stage_seconds_sum[$__rate_interval]))"
                    " / sum by (stage) (rate(patchline_drift_stage_seconds_count[$__rate_interval]))",
                    "{{stage}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Drift: views",
            "Followed now, and given up within the hour: silent too long, or too many.",
            (
                Query("sum(patchline_drift_views)", "followed"),
                Query("sum(increase(patchline_drift_views_forgotten_total[1h]))", "given up"),
            ),
        ),
        Panel(
            "Drift: age of the newest decision",
            "Grows where a view stopped, or where the drift service lags behind.",
            (Query("time() - max by (view) (patchline_drift_decided_timestamp_seconds)", "{{view}}"),),
            unit="s",
        ),
        Panel(
            "History: decisions",
            "Decisions a second written, those that the history had already, and records that are none.",
            (
                Query("sum(rate(patchline_record_decisions_total[$__rate_interval]))", "written"),
                Query("sum(rate(patchline_record_repeated_total[$__rate_interval]))", "repeated"),
                Query("sum(rate(patchline_record_unreadable_total[$__rate_interval]))", "unreadable"),
            ),
            unit="cps",
        ),
        Panel(
            "History: pictures",
            "Pictures that wait to be fetched, and within 5 minutes those looked after and those forgotten.",
            (
                Query("sum(patchline_record_pictures_waiting)", "waiting"),
                Query("sum(increase(patchline_record_pictures_total[5m]))", "looked after"),
                Query("sum(increase(patchline_record_pictures_expired_total[5m]))", "forgotten"),
            ),
        ),
        Panel(
            "History: time of a stage",
            "Mean: one batch of decisions written, one batch of pictures kept, one look for what expired.",
            (
                Query(
                    "sum by (stage) (rate(patchline_record_stage_seconds_sum[$__rate_interval]))"
                    " / sum by (stage) (rate(patchline_record_stage_seconds_count[$__rate_interval]))",
                    "{{stage}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "History: behind, and refused attempts",
            "Age of the newest decision that is written, and attempts within 5 minutes that were refused.",
            (
                Query("time() - max(patchline_record_decided_timestamp_seconds)", "age in seconds"),
                Query("sum(increase(patchline_record_failures_total[5m]))", "refused"),
            ),
        ),
        Panel(
            "Cameras: frames",
            "Frames a second handed over, and those that the broker did not take.",
            (
                Query("sum by (view) (rate(patchline_camera_frames_sent_total[$__rate_interval]))", "{{view}}"),
                Query(
                    "sum by (view) (rate(patchline_camera_frames_failed_total[$__rate_interval]))", "{{view}} failed"
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Cameras: bytes",
            "Encoded image bytes a second.",
            (Query("sum by (view) (rate(patchline_camera_sent_bytes_total[$__rate_interval]))", "{{view}}"),),
            unit="Bps",
        ),
        Panel(
            "Cameras: behind",
            "How far sending lags behind the wanted rate.",
            (Query("max by (view) (patchline_camera_behind_seconds)", "{{view}}"),),
            unit="s",
        ),
    ),
)
