"""Metrics: declared once, at zero when a view opens, gone when it closes, and in the documentation as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from ingest.annotation import Label
from ingest.bank_state import ViewState
from ingest.decision import Reason, Verdict
from ingest.frame import DeadLetterReason
from monitoring import metrics, metrics_page
from monitoring.declared import MetricLabel, declarations
from monitoring.drift.diagnosis import DriftVerdict as Drift
from monitoring.metrics import values
from monitoring.verdicts import DRIFT_VERDICTS
from softpatch.images.input_faults import InputFault

ROOT = Path(__file__).parents[2]
VIEW = "line-1/top"


def everything(
    registry: CollectorRegistry,
) -> tuple[metrics.InferenceMetrics, metrics.TrainerMetrics, metrics.WatchMetrics]:
    """Every service's metrics on one registry, with the view open and every gauge at a value."""
    inference, trainer = metrics.declare_inference(registry), metrics.declare_trainer(registry)
    camera, kafka = metrics.declare_camera(registry), metrics.declare_kafka(registry)
    watch = metrics.declare_watch(registry)
    for service in (inference, trainer, camera, watch):
        metrics.open_view(service, VIEW)
    inference.threshold.labels(view=VIEW).set(3.5)
    camera.behind.labels(view=VIEW).set(0)
    kafka.consumer_lag.labels(partition="0").set(7)
    gauges = ("window_frames", "window_bytes", "build_progress", "bank_created", "bank_patches", "noise_estimate")
    for gauge in (*gauges, "planted_found", "smallest_found"):
        getattr(trainer, gauge).labels(view=VIEW).set(1)
    for bound in values.GATE_BOUNDS:
        trainer.gate_measure.labels(view=VIEW, bound=bound).set(0.1)
    for gauge in ("noticed", "evidence", "rejected", "rejected_before", "calibration_frames", "decided"):
        getattr(watch, gauge).labels(view=VIEW).set(1)
    for statistic in values.DRIFT_STATISTICS:
        watch.distance.labels(view=VIEW, statistic=statistic).set(0.1)
    for statistic in values.DRIFT_TESTS:
        watch.p_value.labels(view=VIEW, statistic=statistic).set(0.5)
    metrics.set_drift(watch, VIEW, "product_changed")
    metrics.set_state(trainer, VIEW, "learning")
    metrics.set_groups(trainer, VIEW, {"open": 1})
    metrics.set_bank(inference, VIEW, version="a" * 64, epoch=3, provider="CPUExecutionProvider", precision="fp32")
    return inference, trainer, watch


@pytest.mark.parametrize(
    ("declared", "contract"),
    [
        (values.VERDICTS, Verdict),
        (values.UNDECIDED_REASONS, Reason),
        (values.DEAD_LETTER_REASONS, DeadLetterReason),
        (values.VIEW_STATES, ViewState),
        (values.INPUT_FAULTS, InputFault),
        (values.GROUP_LABELS, Label),
    ],
)
def test_label_values_are_the_contracts_words(declared: tuple[str, ...], contract: type[Verdict]) -> None:
    """Nothing keeps the two lists together but this: metrics import no contract."""
    assert declared == tuple(word.value for word in contract)


def test_only_bounded_labels_part_series() -> None:
    """Labels are view, stage, verdict, reason, label, partition, statistic and no others."""
    used = {label for service in metrics.SERVICES for _, m in declarations(service).values() for label in m.labels}
    assert used <= set(get_args(MetricLabel))


def test_names_carry_prefix_and_unit() -> None:
    """Counters end in _total, seconds and bytes are in the name, and no two services share a name."""
    entries = [entry for service in metrics.SERVICES for entry in declarations(service).values()]
    names = [metric.name for _, metric in entries]
    assert len(names) == len(set(names))
    for kind, metric in entries:
        assert metric.name.startswith("patchline_")
        assert metric.name.endswith("_total") == (kind is Counter), metric.name
        for unit in {"seconds", "bytes", "ratio"} & {metric.unit}:
            assert unit in metric.name
        if kind is Histogram:
            assert list(metric.buckets) == sorted(set(metric.buckets))


def test_an_open_view_shows_every_verdict_at_zero() -> None:
    """A series that nobody touched is absent, and no alert sees absence."""
    registry = CollectorRegistry()
    inference = metrics.declare_inference(registry)
    metrics.open_view(inference, VIEW)
    for verdict in ("pass", "fail", "undecided"):
        assert registry.get_sample_value("patchline_decisions_total", {"view": VIEW, "verdict": verdict}) == 0
    assert registry.get_sample_value("patchline_score_ratio_count", {"view": VIEW}) == 0


def test_an_open_view_claims_no_gauge() -> None:
    """A threshold of 0 before there is a bank would be a lie."""
    registry = CollectorRegistry()
    metrics.open_view(metrics.declare_inference(registry), VIEW)
    assert registry.get_sample_value("patchline_threshold", {"view": VIEW}) is None


def test_a_closed_view_leaves_nothing_behind() -> None:
    """Labels of a revoked view disappear, and the other view's stay."""
    registry = CollectorRegistry()
    services = everything(registry)
    for service in services:
        metrics.open_view(service, "line-1/side")
        metrics.close_view(service, VIEW)
    views = {sample.labels.get("view") for family in registry.collect() for sample in family.samples}
    text = generate_latest(registry).decode()
    assert "line-1/side" in views
    assert [line for line in text.splitlines() if VIEW in line and "camera_" not in line] == []


def test_the_bank_before_is_no_longer_named() -> None:
    """One info series a view: a swap replaces version and epoch."""
    registry = CollectorRegistry()
    inference = metrics.declare_inference(registry)
    for version, epoch in (("a" * 64, 1), ("b" * 64, 2)):
        metrics.set_bank(inference, VIEW, version=version, epoch=epoch, provider="p", precision="fp32")
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("patchline_bank_info")]
    assert len(lines) == 1
    assert 'epoch="2"' in lines[0]
    assert f'version="{"b" * 64}"' in lines[0]


def test_a_view_drifts_in_one_way_or_not_at_all() -> None:
    """1 at the verdict, 0 at every other, also after it changed and went; an unknown one is refused."""
    registry = CollectorRegistry()
    watch = metrics.declare_watch(registry)

    def shown() -> list[str]:
        value = {
            each: registry.get_sample_value("patchline_drift_verdict", {"view": VIEW, "verdict": each})
            for each in DRIFT_VERDICTS
        }
        assert set(value.values()) <= {0, 1}
        return [each for each, is_so in value.items() if is_so]

    metrics.set_drift(watch, VIEW, "camera_got_darker")
    metrics.set_drift(watch, VIEW, "camera_out_of_focus")
    assert shown() == ["camera_out_of_focus"]
    metrics.set_drift(watch, VIEW, None)
    assert shown() == []
    with pytest.raises(ValueError, match="drift verdict 'knocked' must be one of camera_sees_nothing, "):
        metrics.set_drift(watch, VIEW, "knocked")


def test_drift_verdicts_are_the_words_of_the_diagnosis() -> None:
    """The label says the sentence, so that an alert can be read."""
    assert tuple(word.label for word in Drift) == DRIFT_VERDICTS


def test_a_view_is_in_one_state() -> None:
    """1 at the state it is in, 0 at the three others; an unknown state is refused."""
    registry = CollectorRegistry()
    trainer = metrics.declare_trainer(registry)
    metrics.set_state(trainer, VIEW, "learning")
    metrics.set_state(trainer, VIEW, "active")
    states = {
        stage: registry.get_sample_value("patchline_view_state", {"view": VIEW, "stage": stage})
        for stage in ("learning", "provisional", "active", "held")
    }
    assert states == {"learning": 0, "provisional": 0, "active": 1, "held": 0}
    with pytest.raises(ValueError, match="view state 'asleep' must be one of learning, provisional, active, held"):
        metrics.set_state(trainer, VIEW, "asleep")


def test_groups_are_counted_by_label_and_an_answered_one_leaves_its_old_label() -> None:
    """0 at each label that no group has, also after the last open one was answered; an unknown label is refused."""
    registry = CollectorRegistry()
    trainer = metrics.declare_trainer(registry)
    metrics.set_groups(trainer, VIEW, {"open": 2})
    metrics.set_groups(trainer, VIEW, {Label.GOOD: 1, Label.NO_PART: 1})
    shown = {
        label: registry.get_sample_value("patchline_groups", {"view": VIEW, "label": label})
        for label in ("open", "good", "defect", "no_part", "ignore")
    }
    assert shown == {"open": 0, "good": 1, "defect": 0, "no_part": 1, "ignore": 0}
    with pytest.raises(ValueError, match="group label 'bad' must be one of open, good, defect, no_part, ignore"):
        metrics.set_groups(trainer, VIEW, {"bad": 1})


def test_records_that_name_no_view_are_seen_from_the_start() -> None:
    """The first dead letter without a key must raise a counter that an alert already knows."""
    registry = CollectorRegistry()
    metrics.declare_inference(registry)
    metrics.declare_trainer(registry)
    assert registry.get_sample_value("patchline_dead_letters_total", {"view": ""}) == 0
    for reason in values.DEAD_LETTER_REASONS:
        assert registry.get_sample_value("patchline_dead_letters_by_reason_total", {"reason": reason}) == 0
    labels = {"view": "", "reason": "bad_frame"}
    assert registry.get_sample_value("patchline_trainer_frames_skipped_total", labels) == 0


def test_what_belongs_to_no_view_stands_at_zero_from_the_start() -> None:
    """The first build's stages came into being at one: no rate over them ever showed that build."""
    registry = CollectorRegistry()
    metrics.declare_trainer(registry)
    for stage in values.BUILD_STAGES:
        assert registry.get_sample_value("patchline_build_stage_seconds_count", {"stage": stage}) == 0


@pytest.mark.parametrize("service", metrics.SERVICES)
def test_the_page_counts_the_series_a_view_really_adds(service: type) -> None:
    """Cardinality in docs/metrics.md equals what the registry exposes for one view more."""
    registry = CollectorRegistry()
    everything(registry)
    names = tuple(metric.name for _, metric in declarations(service).values())
    lines = [line for line in generate_latest(registry).decode().splitlines() if f'view="{VIEW}"' in line]
    assert metrics_page.series_per_view(service) == sum(line.startswith(names) for line in lines)


def test_the_page_is_current() -> None:
    """docs/metrics.md is what `python -m monitoring.metrics_page` prints."""
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page.page()


@pytest.mark.process
def test_promtool_finds_nothing_to_say() -> None:
    """Prometheus' own linter passes the page of all services together."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    registry = CollectorRegistry()
    everything(registry)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
