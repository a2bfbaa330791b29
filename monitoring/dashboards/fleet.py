"""All views at a glance: who is in trouble."""

from __future__ import annotations

from monitoring.dashboards.panel import Dashboard, Panel, Query

FLEET = Dashboard(
    uid="patchline-fleet",
    title="Patchline: fleet",
    panels=(
        Panel(
            "Views with frames",
            "Views that sent at least one frame in the last 5 minutes.",
            (Query('sum(sum by (view) (increase(patchline_frames_received_total{view!=""}[5m])) > bool 0)'),),
            kind="stat",
            width=5,
            height=4,
        ),
        Panel(
            "Frames",
            "Frames a second that inspection takes, all views together.",
            (Query("sum(rate(patchline_frames_received_total[$__rate_interval]))"),),
            unit="cps",
            kind="stat",
            width=5,
            height=4,
        ),
        Panel(
            "Rejected",
            "Share of decisions that are fail, all views together.",
            (
                Query(
                    'sum(rate(patchline_decisions_total{verdict="fail"}[$__rate_interval]))'
                    " / sum(rate(patchline_decisions_total[$__rate_interval]))"
                ),
            ),
            unit="percentunit",
            kind="stat",
            width=5,
            height=4,
        ),
        Panel(
            "Undecided",
            "Share of decisions without a verdict, all views together.",
            (
                Query(
                    'sum(rate(patchline_decisions_total{verdict="undecided"}[$__rate_interval]))'
                    " / sum(rate(patchline_decisions_total[$__rate_interval]))"
                ),
            ),
            unit="percentunit",
            kind="stat",
            width=5,
            height=4,
        ),
        Panel(
            "Views that changed",
            "Views in an episode of drift now: the camera, the product or the share of defects is not what it was.",
            (Query("sum(patchline_drift_verdict)"),),
            kind="stat",
            width=4,
            height=4,
        ),
        Panel(
            "Groups that wait for a word",
            "Frames that repeat and are not learnt; they keep failing until somebody says what they are.",
            (Query('max by (view) (patchline_groups{label="open"})', "{{view}}"),),
        ),
        Panel(
            "Views by state",
            "Learning: nothing is decided. Provisional: decided by a first bank. Held: a person stopped learning.",
            (Query('sum by (stage) (max by (view, stage) (patchline_view_state{view!=""}))', "{{stage}}"),),
        ),
        Panel(
            "What changed",
            "Views in an episode of drift, by what is the matter with them.",
            (Query("sum by (verdict) (patchline_drift_verdict)", "{{verdict}}"),),
        ),
        Panel(
            "Evidence of drift by view",
            "An episode opens at 1; an undisturbed view stays far below.",
            (Query("max by (view) (patchline_drift_evidence_ratio)", "{{view}}"),),
            logarithmic=True,
        ),
        Panel(
            "Frames by view",
            "A view that falls to nothing has lost its camera.",
            (Query("sum by (view) (rate(patchline_frames_received_total[$__rate_interval]))", "{{view}}"),),
            unit="cps",
        ),
        Panel(
            "Rejected by view",
            "A share that jumps is a defect, a new product or a knocked camera.",
            (
                Query(
                    'sum by (view) (rate(patchline_decisions_total{verdict="fail"}[$__rate_interval]))'
                    " / sum by (view) (rate(patchline_decisions_total[$__rate_interval]))",
                    "{{view}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Undecided by reason",
            "Frames a second without a verdict, and why.",
            (Query("sum by (reason) (rate(patchline_undecided_total[$__rate_interval]))", "{{reason}}"),),
            unit="cps",
        ),
        Panel(
            "Latency by view, 99 in 100",
            "From the broker's taking of a frame to its decision.",
            (
                Query(
                    "histogram_quantile(0.99, sum by (view, le)"
                    " (rate(patchline_decision_latency_seconds_bucket[$__rate_interval])))",
                    "{{view}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Dead letters by view",
            "Records a second that no decision could be made of.",
            (
                Query(
                    "label_replace(sum by (view) (rate(patchline_dead_letters_total[$__rate_interval])),"
                    ' "view", "names no view", "view", "")',
                    "{{view}}",
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Dead letters by reason",
            "Records a second, and why no decision could be made of them: `patchline dead-letters list` says which.",
            (Query("sum by (reason) (rate(patchline_dead_letters_by_reason_total[$__rate_interval]))", "{{reason}}"),),
            unit="cps",
        ),
        Panel(
            "Headers that say nothing",
            "Optional headers a second that could not be read: their frames are decided without them.",
            (Query("sum by (header) (rate(patchline_headers_unread_total[$__rate_interval]))", "{{header}}"),),
            unit="cps",
        ),
    ),
)
