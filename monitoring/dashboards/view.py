"""One view: its verdicts, its scores against the threshold, how long decisions take, which bank decides."""

from __future__ import annotations

from monitoring.dashboards.panel import Dashboard, Panel, Query

_SCORES = 'sum by (le) (rate(patchline_score_ratio_bucket{view="$view"}[$__rate_interval]))'
_LATENCIES = 'sum by (le) (rate(patchline_decision_latency_seconds_bucket{view="$view"}[$__rate_interval]))'

VIEW = Dashboard(
    uid="patchline-view",
    title="Patchline: one view",
    of_view=True,
    panels=(
        Panel(
            "Verdicts",
            "Decisions a second.",
            (
                Query(
                    'sum by (verdict) (rate(patchline_decisions_total{view="$view"}[$__rate_interval]))', "{{verdict}}"
                ),
            ),
            unit="cps",
        ),
        Panel(
            "What changed",
            "Red while the view is in an episode of drift of this name.",
            (Query('max by (verdict) (patchline_drift_verdict{view="$view"})', "{{verdict}}"),),
            kind="state-timeline",
        ),
        Panel(
            "Scores over the threshold",
            "How the scores are spread; above 1 a part is rejected. A cloud that moves as a whole is not defects.",
            (Query('sum by (le) (increase(patchline_score_ratio_bucket{view="$view"}[$__rate_interval]))', "{{le}}"),),
            kind="heatmap",
        ),
        Panel(
            "Scores over the threshold, quantiles",
            "The middle frame, and the highest of ten and of a hundred.",
            tuple(
                Query(f"histogram_quantile({share}, {_SCORES})", name)
                for share, name in ((0.5, "half"), (0.9, "90 in 100"), (0.99, "99 in 100"))
            ),
        ),
        Panel(
            "Evidence of drift",
            "An episode opens at 1; an undisturbed line stays far below. It starts anew with each bank.",
            (Query('max(patchline_drift_evidence_ratio{view="$view"})', "evidence"),),
            logarithmic=True,
        ),
        Panel(
            "Distance from the bank's calibration",
            "Of the last 64 frames: spread of scores, how far they moved (in score ratio), how unlike the frames look.",
            (Query('max by (statistic) (patchline_drift_distance{view="$view"})', "{{statistic}}"),),
        ),
        Panel(
            "Chance of such a distance",
            "On an undisturbed line, at one look. Low now and then is nothing; low for long is something.",
            (Query('max by (statistic) (patchline_drift_p_value_ratio{view="$view"})', "{{statistic}}"),),
            unit="percentunit",
        ),
        Panel(
            "Rejected, now and in the calibration",
            "Share of the last 64 frames above the threshold, beside the share of the bank's calibration frames.",
            (
                Query('max(patchline_drift_reject_ratio{view="$view"})', "last 64 frames"),
                Query('max(patchline_drift_calibration_reject_ratio{view="$view"})', "calibration"),
            ),
            unit="percentunit",
        ),
        Panel(
            "Episodes of drift",
            "Noticed within the hour.",
            (Query('sum(increase(patchline_drift_episodes_total{view="$view"}[1h]))', "episodes"),),
        ),
        Panel(
            "Since the latest episode was noticed",
            "Nothing is shown where there was none yet.",
            (Query('time() - max(patchline_drift_noticed_timestamp_seconds{view="$view"})', "noticed"),),
            unit="s",
        ),
        Panel(
            "Undecided by reason",
            "Frames a second without a verdict, and why.",
            (Query('sum by (reason) (rate(patchline_undecided_total{view="$view"}[$__rate_interval]))', "{{reason}}"),),
            unit="cps",
        ),
        Panel(
            "Latency",
            "From the broker's taking of a frame to its decision.",
            tuple(
                Query(f"histogram_quantile({share}, {_LATENCIES})", name)
                for share, name in ((0.5, "half"), (0.99, "99 in 100"))
            ),
            unit="s",
        ),
        Panel(
            "Frames that never came",
            "Frames lost before Kafka (a gap in the sequence), frames sent twice, records that cannot be read.",
            (
                Query('sum(rate(patchline_sequence_gap_frames_total{view="$view"}[$__rate_interval]))', "missing"),
                Query('sum(rate(patchline_duplicate_frames_total{view="$view"}[$__rate_interval]))', "sent twice"),
                Query('sum(rate(patchline_dead_letters_total{view="$view"}[$__rate_interval]))', "dead letters"),
            ),
            unit="cps",
        ),
        Panel(
            "Frames that show nothing to inspect",
            "Black, overexposed and frozen pictures a second, whatever was decided of them.",
            (
                Query(
                    'sum by (reason) (rate(patchline_input_faults_total{view="$view"}[$__rate_interval]))', "{{reason}}"
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Threshold in force",
            "A distance of its own bank: it may jump with a new one.",
            (Query('max(patchline_threshold{view="$view"})', "threshold"),),
        ),
        Panel(
            "Bank in force",
            "Which bank decides in each process, and on what it runs.",
            (Query('patchline_bank_info{view="$view"}'),),
            kind="table",
        ),
    ),
)
