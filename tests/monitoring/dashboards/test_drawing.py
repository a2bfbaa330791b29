"""Dashboards without a Grafana: what is asked of Prometheus, and what is drawn of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.font_manager  # noqa: F401 -- the first time ever it starts `fc-list`, which no test here should
import numpy as np
import pytest

from monitoring.dashboards.draw import draw
from monitoring.dashboards.files import DASHBOARDS
from monitoring.dashboards.panel import Dashboard, Panel, Query
from monitoring.dashboards.prometheus_query import NoAnswer, Prometheus, Series, Span, filled, named
from monitoring.dashboards.units import formatted
from tests.brokers import free_port

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPAN = Span(start_seconds=1_800_000_000.0, end_seconds=1_800_000_600.0, step_seconds=60.0)


def series(*values: float, skipping: int = 0, **labels: str) -> Series:
    """A series from the span's start on, `skipping` steps left out after the first sample."""
    steps = np.arange(len(values)) + np.where(np.arange(len(values)) > 0, skipping, 0)
    return Series(labels, SPAN.start_seconds + steps * SPAN.step_seconds, np.array(values))


def drawn(panel: Panel, *answer: Series) -> Axes:
    """The axes of a dashboard of one panel, each of whose queries gets these series."""
    figure = draw(Dashboard("u", "T", (panel,)), lambda one: [(query, list(answer)) for query in one.queries], SPAN)
    (axes,) = figure.axes
    return axes


@pytest.mark.parametrize(
    ("step_seconds", "scrape_seconds", "interval"),
    [(60.0, 5.0, "65000ms"), (1.0, 15.0, "60000ms"), (5.0, 1.0, "6000ms")],
)
def test_a_rate_goes_over_what_grafana_documents(step_seconds: float, scrape_seconds: float, interval: str) -> None:
    """$__rate_interval is max($__interval + scrape interval, 4 * scrape interval)."""
    span = Span(0.0, 600.0, step_seconds)
    query = filled('rate(a{view="$view"}[$__rate_interval])', span, scrape_seconds=scrape_seconds, view="l/c")
    assert query == f'rate(a{{view="l/c"}}[{interval}])'


def test_a_series_is_called_what_its_legend_says() -> None:
    """Labels are filled in, one it lacks by nothing; without a legend all labels are shown."""
    labels = {"__name__": "a", "view": "l/c", "reason": "empty"}
    assert named(Query("a", "{{view}} dead: {{reason}}"), labels) == "l/c dead: empty"
    assert named(Query("a", "{{job}} failed"), labels) == "failed"
    assert named(Query("a"), labels) == "reason=empty, view=l/c"


@pytest.mark.parametrize(
    ("number", "unit", "words"),
    [
        (12345.0, "short", "12.3 k"),
        (0.25, "percentunit", "25 %"),
        (90.0, "s", "1.5 min"),
        (0.0042, "s", "4.2 ms"),
        (0.0, "s", "0 s"),
        (1536.0, "bytes", "1.5 KiB"),
        (2.0**21, "Bps", "2 MiB/s"),
        (15.0, "cps", "15/s"),
        (float("nan"), "short", "No data"),
    ],
)
def test_a_number_is_written_in_its_unit(number: float, unit: str, words: str) -> None:
    """As a person would read it."""
    assert formatted(number, unit) == words


def test_every_unit_of_a_panel_can_be_formatted() -> None:
    """No dashboard asks for one that a picture cannot show."""
    assert all(formatted(1.0, panel.unit) for dashboard in DASHBOARDS for panel in dashboard.panels)


@pytest.mark.slow
def test_no_line_bridges_what_is_not_known() -> None:
    """Where samples are missing the line is broken."""
    axes = drawn(Panel("a", "A.", (Query("a", "{{view}}"),)), series(1.0, 2.0, skipping=3, view="l/c"))
    (line,) = axes.get_lines()
    values = np.asarray(line.get_ydata(), np.float64)
    assert values[[0, 4]].tolist() == [1.0, 2.0]
    assert np.isnan(np.delete(values, [0, 4])).all()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["l/c"]


@pytest.mark.parametrize("kind", ["timeseries", "stat", "table", "heatmap"])
def test_a_panel_without_data_says_so(kind: str) -> None:
    """It must not look like a line that is well."""
    axes = drawn(Panel("a", "A.", (Query("a"),), kind=kind))
    assert "No data" in [text.get_text() for text in axes.texts]


def test_a_row_of_a_heatmap_holds_what_is_new_in_its_bucket() -> None:
    """Prometheus counts in a bucket all that is below its edge: 1, 4 and 4 frames are 1, 3 and none."""
    counted = [series(float(count), le=edge) for edge, count in (("0.5", 1), ("1.0", 4), ("+Inf", 4))]
    axes = drawn(Panel("a", "A.", (Query("a", "{{le}}"),), kind="heatmap"), *counted)
    (mesh,) = axes.collections
    first = np.ma.filled(np.ma.masked_invalid(mesh.get_array()), 0.0)[:, 0]
    assert first.tolist() == [1.0, 3.0, 0.0]


def test_a_state_is_red_while_it_is_one() -> None:
    """Each state has a row by its name; two steps at one are two bars."""
    panel = Panel("a", "A.", (Query("a", "{{verdict}}"),), kind="state-timeline")
    axes = drawn(panel, series(0.0, 1.0, 1.0, verdict="dark"), series(0.0, 0.0, 0.0, verdict="frozen"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dark", "frozen"]
    assert [len(bars.get_paths()) for bars in axes.collections] == [2, 0]


@pytest.mark.slow
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)
def test_every_dashboard_can_be_drawn(dashboard: Dashboard) -> None:
    """One picture a panel, under its title, inside the page and beside the others."""
    answer = [series(0.5, 1.0, le="1.0", view="l/c")]
    figure = draw(dashboard, lambda panel: [(query, answer) for query in panel.queries], SPAN)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [panel.title for panel in dashboard.panels]
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


def test_a_prometheus_that_is_not_there_is_reported() -> None:
    """By its address."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NoAnswer, match=f"{url} does not answer"):
        Prometheus(url).at("up", 0.0)
