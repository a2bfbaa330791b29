"""A line by deploy/compose.yml, watched by a real Prometheus and Alertmanager: alarms reach people, panels show it."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from ingest.cameras.faults import black
from monitoring.dashboards.files import DASHBOARDS
from monitoring.dashboards.panel import Dashboard, Panel, Query
from monitoring.dashboards.prometheus_query import NoAnswer, Prometheus, Span, query_panel
from tests.e2e.composed import ROOT, Composed
from tests.e2e.watched_line import KNOCK, SCRAPE_SECONDS, SERVED_AT, Camera, Pager, WatchedLine, send_odd_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitoring.dashboards.prometheus_query import Series
    from tests.e2e.services import Service

pytestmark = [pytest.mark.kafka, pytest.mark.prometheus, pytest.mark.slow]

RULES = ROOT / "deploy/prometheus/rules.yml"
KNOCKED, ODD, DEMO = "line-2/camera-1", "line-3/camera-1", "line-1/camera-1"
VIEWS = (KNOCKED, ODD, DEMO)
STEP_SECONDS = 1.0
FOLLOWED = f'patchline_drift_decisions_total{{view="{KNOCKED}"}}'
DOUBLED = f'patchline_duplicate_frames_total{{view="{ODD}"}}'
CALM_FRAMES = 100
"""Decisions on which nothing may be noticed, before the knock."""
STALL_SECONDS = 7.0
"""Long enough for the camera to be behind its beat, and too short for what it sent to expire unacknowledged."""

RIGHTLY_ZERO = {
    "patchline_kafka_polls_failed_total": "no broker fails here; tests/e2e/faults makes them fail",
    "patchline_kafka_transactions_aborted_total": "the same",
    "patchline_kafka_partitions_paused": "the queue is never full at this rate",
    "patchline_kafka_consumer_lag_records": "every frame is taken at once",
    "patchline_bank_refusals_total": "no bank is damaged here",
    "patchline_camera_frames_failed_total": "the broker takes every frame",
    "patchline_gate_refusals_total": "every bank keeps the bounds here",
    "patchline_shadow_frames": "no bank is tried before it comes into force here",
    "patchline_groups": "nothing repeats on this line",
    "patchline_feedback_total": "nobody says a word here",
    "patchline_bank_lost_total": "the store loses no bank here",
    "patchline_store_failing": "the store takes every file here",
    "patchline_limits_changed_total": "nobody changes a limit here",
    "patchline_trainer_records_set_aside_total": "no record fails three times here",
    "patchline_partition_changes_total": "no view lies in two partitions here",
    "patchline_kafka_records_expired_total": "nothing is deleted unread here",
    "patchline_clock_skew_seconds": "broker and services share one clock here",
    "patchline_kafka_topics_too_narrow": "all topics are as wide as they are made",
    "patchline_record_unreadable_total": "every decision can be read here",
    "patchline_record_pictures_waiting": "pictures are kept at once here",
    "patchline_record_pictures_expired_total": "no picture is old enough",
    "patchline_record_failures_total": "database and store answer",
    "patchline_headers_unread_total": "every header of these cameras can be read",
    "patchline_drift_views_forgotten_total": "a view is given up after an hour's silence",
}
"""Queries whose series are there and stay at zero on this line. Every other one must show something above zero."""
RIGHTLY_NAN = {
    "patchline_smallest_found_px": "no size of the few planted defects may be found nine times in ten",
}
"""Queries whose series are there, and may hold no number on this line."""
BY_UP_ALONE = ("patchline_service_restarts_total", "patchline_service_running")
"""What only `patchline up` shows, which compose does not start."""


@dataclass(frozen=True)
class History:
    """What happened to the line, in Unix seconds; the alerts of the knocked view that fired before it."""

    begun: float
    told_before: list[dict[str, Any]]
    knocked: float
    recovered: float
    ended: float


@pytest.fixture(scope="module")
def line(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedLine]:
    """The composed services, running."""
    with Pager() as pager, Composed(tmp_path_factory.mktemp("services")) as composed:
        yield WatchedLine(composed, pager).start(kafka_home)


@pytest.fixture(scope="module")
def prometheus(line: WatchedLine) -> Prometheus:
    """Its Prometheus, to be asked."""
    return Prometheus(line.prometheus_url, scrape_seconds=SCRAPE_SECONDS)


@pytest.fixture(scope="module")
def history(line: WatchedLine, prometheus: Prometheus) -> History:
    """What services see in a while: members come and go, cameras stall, are knocked and covered, odd records come."""
    begun = time.time()
    share_the_load_for_a_while(line, prometheus)
    with Camera(line.kafka, KNOCKED, rate_per_second=15, seed=5) as camera:
        with stalled(line.running["camera"]):
            time.sleep(STALL_SECONDS)
        line.wait_until(lambda: value(prometheus, FOLLOWED) > CALM_FRAMES, "decisions to follow")
        told_before = drift_alerts(line, "firing")
        knocked, camera.fault = time.time(), KNOCK
        line.wait_until(lambda: bool(drift_alerts(line, "firing")), "the alert of the knock")
        recovered, camera.fault = time.time(), None
        line.wait_until(lambda: bool(drift_alerts(line, "resolved")), "the end of the alert")
        camera.fault = black
        for seen in range(2):  # a rate needs what it counts to have been there before, at zero or not
            send_odd_records(line.kafka, ODD)
            line.wait_until(lambda seen=seen: value(prometheus, DOUBLED) > seen, "the odd records being counted")
        assert line.composed.run("train", "bank", "rollback", KNOCKED).returncode == 1  # there is no bank before it
        for sample in ("patchline_input_faults_total", "patchline_commands_total"):
            line.wait_until(lambda sample=sample: value(prometheus, f"sum({sample})") > 0, sample)
        time.sleep(5 * SCRAPE_SECONDS)  # for the rates of what came last
    return History(begun, told_before, knocked, recovered, time.time())


def share_the_load_for_a_while(line: WatchedLine, prometheus: Prometheus) -> None:
    """A second inspection takes partitions and gives them back: the first rebalance may lie before the first scrape."""
    owned, rebalances = (
        f'{name}{{job="patchline-inspect"}}'
        for name in ("patchline_kafka_partitions_owned", "patchline_kafka_rebalances_total")
    )
    line.wait_until(lambda: value(prometheus, owned) > 0, "the inspection having its partitions")
    time.sleep(2 * SCRAPE_SECONDS)
    all_of_them, before = value(prometheus, owned), value(prometheus, rebalances)
    other = line.composed.another("inspect")
    line.wait_until(lambda: value(prometheus, owned) < all_of_them, "another inspection taking its share")
    other.kill()
    line.wait_until(lambda: value(prometheus, owned) == all_of_them, "the inspection having all partitions again")
    assert value(prometheus, rebalances) > before


@contextmanager
def stalled(camera: Service) -> Iterator[None]:
    """A camera that stands still, and is behind its beat for a while when it goes on."""
    camera.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        camera.process.send_signal(signal.SIGCONT)


def value(prometheus: Prometheus, expression: str) -> float:
    """The one value of an expression now; 0 where there is no series, or no Prometheus yet."""
    try:
        found = prometheus.at(expression, time.time())
    except NoAnswer:
        return 0.0
    return float(found[0].values[0]) if found else 0.0


def drift_alerts(line: WatchedLine, status: str) -> list[dict[str, Any]]:
    """What the pager received about drift of the view that is knocked."""
    rules = chain.from_iterable(group["rules"] for group in yaml.safe_load(RULES.read_text())["groups"])
    of_drift = {rule["alert"] for rule in rules if "patchline_drift_verdict" in rule["expr"]}
    return [each for each in line.pager.alerts(status, view=KNOCKED) if each["labels"]["alertname"] in of_drift]


def test_everything_that_compose_starts_is_scraped_and_says_that_it_is_alive(
    line: WatchedLine, prometheus: Prometheus
) -> None:
    """By the targets Prometheus is given there, and by each container's health check; a dead one fails it."""
    line.wait_until(lambda: value(prometheus, "sum(up)") == len(SERVED_AT), "Prometheus reaching all services")
    for name in SERVED_AT:
        checked = line.composed.alive(name)
        assert checked.returncode == 0, checked.stderr
    line.running.pop("camera").kill()
    dead = line.composed.alive("camera")
    line.running["camera"] = line.composed.patchline("camera")
    assert dead.returncode == 1
    assert "refused" in dead.stderr


def test_a_knocked_camera_is_told_in_words_and_its_recovery_too(line: WatchedLine, history: History) -> None:
    """By our rules through our Alertmanager, in a message of the view alone, with its runbook; nothing before it."""
    assert history.told_before == []
    first, *_ = drift_alerts(line, "firing")
    assert first["labels"]["view"] == KNOCKED
    assert KNOCKED in first["annotations"]["summary"]
    assert first["annotations"]["runbook"].startswith("docs/operations.md#")
    resolved = {each["labels"]["alertname"] for each in drift_alerts(line, "resolved")}
    assert first["labels"]["alertname"] in resolved
    messages = [each for each in line.pager.messages if each["groupLabels"].get("view") == KNOCKED]
    assert messages
    assert all(alert["labels"]["view"] == KNOCKED for each in messages for alert in each["alerts"])


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)
def test_every_panel_shows_what_happened(dashboard: Dashboard, prometheus: Prometheus, history: History) -> None:
    """Each query of each panel has data; and something above zero, unless RIGHTLY_ZERO says why not."""
    span = Span(history.begun, history.ended, STEP_SECONDS)
    complaints = [
        complaint(query, panel, dashboard, prometheus, span) for panel in dashboard.panels for query in panel.queries
    ]
    found = [each for each in complaints if each]
    assert not found, "\n".join(found)


def test_a_panel_without_data_is_found(prometheus: Prometheus, history: History) -> None:
    """The check above can fail: by a metric that no service shows, one of no view, one that is zero throughout."""
    span = Span(history.begun, history.ended, STEP_SECONDS)
    for expression, found in (
        ("rate(patchline_decided_total[$__rate_interval])", "no data"),
        ('patchline_decisions_total{view="line-9/camera-1"}', "no data"),
        ("0 * patchline_decisions_total", "nothing above zero"),
        ("rate(patchline_decisions_total{verdict", "parse error"),
    ):
        panel = Panel("Wrong", "It is.", (Query(expression),))
        assert found in str(complaint(panel.queries[0], panel, Dashboard("u", "T", (panel,)), prometheus, span))


@pytest.mark.usefixtures("history")
def test_what_befalls_records_limits_and_services_reaches_people(line: WatchedLine) -> None:
    """Records that cannot be read, a threshold that a person changed, a service that died and came back."""

    def told(alert: str, status: str = "firing", **labels: str) -> None:
        line.wait_until(lambda: bool(line.pager.alerts(status, alertname=alert, **labels)), f"{alert} {status}")

    told("PatchlineDeadLetters", view=ODD)
    changed = line.composed.run("train", "threshold", KNOCKED, "--false-reject", "0.05", "--apply", "--why", "tried")
    assert changed.returncode == 0, changed.stderr
    told("PatchlineLimitsChanged", view=KNOCKED)
    line.running.pop("watch").kill()
    told("PatchlineServiceDown", job="patchline-watch")
    line.running["watch"] = line.composed.patchline("watch")
    told("PatchlineServiceDown", "resolved", job="patchline-watch")


def complaint(query: Query, panel: Panel, dashboard: Dashboard, prometheus: Prometheus, span: Span) -> str | None:
    """What is wrong with what one query shows; None where all is well. Of a view's panel, some view must show it."""
    if any(name in query.expression for name in BY_UP_ALONE):
        return None
    alone = Panel(panel.title, panel.description, (query,), kind=panel.kind)
    throughout = Panel(panel.title, panel.description, (query,))
    try:
        shown, all_along = (values(one, dashboard, prometheus, span) for one in (alone, throughout))
    except NoAnswer as error:
        return f"{panel.title}: {error}"
    may_be_nan = any(name in query.expression for name in RIGHTLY_NAN)
    if not (shown.size if may_be_nan else np.isfinite(shown).any()):
        return f"{panel.title}: no data for {query.expression}"
    if may_be_nan:
        return None
    if not (all_along > 0).any() and not any(name in query.expression for name in RIGHTLY_ZERO):
        return f"{panel.title}: nothing above zero in {query.expression}"
    return None


def values(panel: Panel, dashboard: Dashboard, prometheus: Prometheus, span: Span) -> np.ndarray:
    """All values that a panel shows, of every view where it is of one."""
    views = VIEWS if dashboard.of_view else VIEWS[:1]
    answers = chain.from_iterable(query_panel(panel, prometheus, span, view=view) for view in views)
    series: list[Series] = [each for _, found in answers for each in found]
    return np.concatenate([each.values for each in series]) if series else np.empty(0)
