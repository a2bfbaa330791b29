"""The trainer and its banks: what is collected, built, how old it is."""

from __future__ import annotations

from monitoring.dashboards.panel import Dashboard, Panel, Query

BANKS = Dashboard(
    uid="patchline-banks",
    title="Patchline: trainer and banks",
    panels=(
        Panel(
            "Age of the newest bank",
            "What the line looked like since then, no bank knows.",
            (Query("time() - max by (view) (patchline_bank_created_timestamp_seconds)", "{{view}}"),),
            unit="s",
        ),
        Panel(
            "Builds",
            "Builds that ended within the hour: built, failed, or kept out of force.",
            (Query("sum by (view, verdict) (increase(patchline_builds_total[1h]))", "{{view}} {{verdict}}"),),
        ),
        Panel(
            "What the gate measures",
            "Of the newest bank: shares of its window, a ratio of thresholds, words not followed.",
            (Query("max by (view, bound) (patchline_gate_measure)", "{{view}} {{bound}}"),),
        ),
        Panel(
            "Bounds that refused banks broke",
            "Within the hour; the bank in force stays where a new one is refused.",
            (Query("sum by (view, bound) (increase(patchline_gate_refusals_total[1h]))", "{{view}} {{bound}}"),),
        ),
        Panel(
            "Frames scored in shadow",
            "A second, by banks that are being tried; dropped: frames of the sample for which there was no time.",
            (
                Query("sum by (view) (rate(patchline_shadow_frames_total[$__rate_interval]))", "{{view}}"),
                Query(
                    "sum by (view) (rate(patchline_shadow_frames_dropped_total[$__rate_interval]))", "{{view}} dropped"
                ),
            ),
            unit="cps",
        ),
        Panel(
            "Store does not take files",
            "1 while nothing can be learnt: the store is full, or away.",
            (Query("max by (instance) (patchline_store_failing)", "{{instance}}"),),
        ),
        Panel(
            "Limits changed",
            "Thresholds and bands that a command changed within the hour.",
            (Query("sum by (view) (increase(patchline_limits_changed_total[1h]))", "{{view}}"),),
        ),
        Panel(
            "Build progress",
            "How far the running build is; 0 when none runs.",
            (Query("max by (view) (patchline_build_progress_ratio)", "{{view}}"),),
            unit="percentunit",
        ),
        Panel(
            "Duration of a build's stages",
            "Mean of the builds that ended within the hour.",
            (
                Query(
                    "sum by (stage) (increase(patchline_build_stage_seconds_sum[1h]))"
                    " / sum by (stage) (increase(patchline_build_stage_seconds_count[1h]))",
                    "{{stage}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Frames in the window",
            "What the next bank will be built from.",
            (Query("max by (view) (patchline_window_frames)", "{{view}}"),),
        ),
        Panel(
            "Window size",
            "Encoded bytes of the window's frames in the store.",
            (Query("max by (view) (patchline_window_bytes)", "{{view}}"),),
            unit="bytes",
        ),
        Panel(
            "Frames collected and skipped",
            "Frames a second that enter a window, and those that do not, by reason.",
            (
                Query("sum(rate(patchline_trainer_frames_collected_total[$__rate_interval]))", "collected"),
                Query("sum by (reason) (rate(patchline_trainer_frames_skipped_total[$__rate_interval]))", "{{reason}}"),
            ),
            unit="cps",
        ),
        Panel(
            "Estimated defective share",
            "Of the window that the newest bank was built from.",
            (Query("max by (view) (patchline_noise_estimate_ratio)", "{{view}}"),),
            unit="percentunit",
        ),
        Panel(
            "Planted defects found",
            "Of artificial defects in frames that the newest bank has not learnt: how much it can see at all.",
            (Query("max by (view) (patchline_planted_found_ratio)", "{{view}}"),),
            unit="percentunit",
        ),
        Panel(
            "Smallest defect found",
            "Pixels of the frame from which nine of ten planted defects are found; empty where none is that often.",
            (Query("max by (view) (patchline_smallest_found_px)", "{{view}}"),),
        ),
        Panel(
            "Bank size",
            "Patches of the newest bank.",
            (Query("max by (view) (patchline_bank_patches)", "{{view}}"),),
        ),
        Panel(
            "Views by state",
            "Learning: nothing decides. Provisional: a first bank. Held: nothing is learnt until a person decides.",
            (Query("sum by (stage) (max by (view, stage) (patchline_view_state))", "{{stage}}"),),
        ),
        Panel(
            "Banks put in force and refused",
            "Swaps by inspections within the hour; a refusal means that a bank scores differently there.",
            (
                Query("sum by (view) (increase(patchline_bank_swaps_total[1h]))", "{{view}} in force"),
                Query("sum by (view) (increase(patchline_bank_refusals_total[1h]))", "{{view}} refused"),
            ),
        ),
        Panel(
            "Commands",
            "Carried out and refused within the hour.",
            (Query("sum by (view, verdict) (increase(patchline_commands_total[1h]))", "{{view}} {{verdict}}"),),
        ),
        Panel(
            "Groups",
            "Of frames that repeat: open ones wait for a word, good ones are learnt, all others never are.",
            (Query("sum by (label) (max by (view, label) (patchline_groups))", "{{label}}"),),
        ),
        Panel(
            "Feedback",
            "Words of people on frames and groups, carried out and refused within the hour.",
            (Query("sum by (view, verdict) (increase(patchline_feedback_total[1h]))", "{{view}} {{verdict}}"),),
        ),
        Panel(
            "Banks lost",
            "Banks in force whose file the store had lost, within the hour; the trainer builds new ones.",
            (Query("sum by (view) (increase(patchline_bank_lost_total[1h]))", "{{view}}"),),
        ),
        Panel(
            "Set aside",
            "Within the hour: frames not learnt from, and messages refused, because every try of them failed.",
            (
                Query("sum by (instance) (increase(patchline_trainer_records_set_aside_total[1h]))", "{{instance}}"),
                Query("sum by (instance) (increase(patchline_partition_changes_total[1h]))", "changed partition"),
            ),
        ),
        Panel(
            "Calibration frames",
            "What each view's decisions are held against for drift: of the bank in force.",
            (Query("max by (view) (patchline_drift_calibration_frames)", "{{view}}"),),
        ),
    ),
)
