"""What is scraped is what the library would write, byte for byte."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from monitoring.exposition import exposition
from monitoring.kept_text import AT_ONCE, KeptCounter, KeptGauge, KeptHistogram
from monitoring.metrics import close_view, declare_inference, declare_kafka, open_view

VALUES = st.floats() | st.integers(-(10**20), 10**20)
LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(LABELS, LABELS, VALUES), max_size=6))
@example([('"\\\n', "", 99_999.5), ("a", "b", 1e5), ("c", "d", 0.1), ("e", "f", math.nan), ("g", "h", -0.0)])
def test_any_labels_and_values_are_written_as_the_library_does(series: list[tuple[str, str, float]]) -> None:
    """With two labels in the order of their names, escaped; numbers as Go writes them."""
    registry = CollectorRegistry()
    gauge = Gauge("level", "A help with \\ and\na second line.", ["zone", "area"], registry=registry)
    histogram = Histogram("took_seconds", "Time.", ["zone"], buckets=(0.5, 1e6, 1e7), registry=registry)
    counter = Counter("seen", "Times.", registry=registry)
    for zone, area, value in series:
        gauge.labels(zone=zone, area=area).set(value)
        histogram.labels(zone=zone).observe(value)
        counter.inc(abs(value))
    assert exposition(registry) == generate_latest(registry)


class Dated:
    """A collector of a sample with a time of its own."""

    def collect(self) -> list[GaugeMetricFamily]:
        """One sample."""
        family = GaugeMetricFamily("dated", "With a time.", labels=["of"])
        family.add_metric(["x"], 1.5, timestamp=1234.5678)
        return [family]


@pytest.mark.parametrize("created", [False, True])
def test_every_kind_of_metric_is_written_as_the_library_does(*, created: bool) -> None:
    """Those left to it, too: summaries, states, facts, times of creation, what the process says of itself."""
    (enable_created_metrics if created else disable_created_metrics)()  # type: ignore[no-untyped-call]
    try:
        registry = CollectorRegistry()
        Summary("size", "Of it.", registry=registry).observe(3)
        Info("build", "Of this.", registry=registry).info({"version": "1"})
        Enum("state", "Of it.", states=["on", "off"], registry=registry).state("off")
        Counter("made", "Times.", registry=registry).inc()
        Histogram("wait", "Time.", registry=registry).observe(2)
        registry.register(Dated())
        PlatformCollector(registry=registry)
        assert exposition(registry) == generate_latest(registry)
        ProcessCollector(registry=registry)
        assert b"process_open_fds" in exposition(registry)
    finally:
        disable_created_metrics()  # type: ignore[no-untyped-call]


def test_the_services_metrics_are_written_as_the_library_does() -> None:
    """With views opened, told something, and closed between scrapes, which keep the text of what stood still."""
    registry = CollectorRegistry()
    kafka, inference = declare_kafka(registry), declare_inference(registry)
    kafka.loop_silent.set_function(iter((0.5, 0.5, 1.5, 1.5)).__next__)
    for view in ("line-1/a", "line-1/b"):
        open_view(inference, view)
    inference.latency.labels(view="line-1/b").observe(0.03)
    inference.threshold.labels(view="line-1/b").set(3.25)
    first = exposition(registry)
    assert first == generate_latest(registry)
    close_view(inference, "line-1/a")
    inference.threshold.labels(view="line-1/b").set(1e6)
    second = exposition(registry)
    assert second == generate_latest(registry)
    assert b"line-1/a" in first
    assert b"line-1/a" not in second


STEPS = st.lists(st.tuples(st.sampled_from("cghr"), st.sampled_from(["", "x", "y"]), VALUES), max_size=12)


@given(STEPS)
@example([("g", "x", 0.0), ("g", "x", -0.0), ("g", "x", 0.0), ("h", "x", math.nan), ("h", "x", math.nan)])
def test_what_is_kept_is_never_older_than_the_value(steps: list[tuple[str, str, float]]) -> None:
    """One registry scraped after each step says what the library makes of it; asking for samples changes nothing."""
    registry = CollectorRegistry()
    counter = KeptCounter("seen", "Times.", ["zone"], registry=registry)
    gauge = KeptGauge("level", "How high.", ["zone", "area"], registry=registry)
    histogram = KeptHistogram("took_seconds", "Time.", ["area", "zone"], buckets=(-1.5, 1e6), registry=registry)
    plain = KeptHistogram("waited_seconds", "Time.", buckets=(0.1, 1), registry=registry)
    for kind, zone, value in steps:
        if kind == "c":
            counter.labels(zone).inc(abs(value))
        elif kind == "g":
            gauge.labels(zone, "a").set(value)
        elif kind == "h":
            histogram.labels("b", zone).observe(value)
            plain.observe(value)
        else:
            gauge.remove_by_labels({"zone": zone})
        assert exposition(registry) == generate_latest(registry)


@pytest.mark.parametrize("views", [AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE + 1])
def test_series_that_are_not_written_at_once_are_all_there_in_their_order(views: int) -> None:
    """The interpreter is let go of in between."""
    registry = CollectorRegistry()
    counter = KeptCounter("seen", "Times.", ["view"], registry=registry)
    for view in range(views):
        counter.labels(f"line/{view}").inc(view)
    assert exposition(registry) == generate_latest(registry)
