"""Each kind of panel as a picture: what Grafana draws of the same series, drawn plainly. Needs matplotlib."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from monitoring.dashboards.prometheus_query import Series, named
from monitoring.dashboards.units import formatted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jaxtyping import Float64
    from matplotlib.axes import Axes

    from monitoring.dashboards.panel import Kind, Panel, Query
    from monitoring.dashboards.prometheus_query import Span

    Answers = Sequence[tuple[Query, list[Series]]]
    Drawing = Callable[[Axes, Panel, Answers, Span], None]

LEGEND_NAMES = 12
"""More names than that hide the lines."""
CELL_LETTERS = 20
TICKS = 6
TICKS_APART_SECONDS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
GRAY, RED, GREEN = "#6b6b6b", "#c4302b", "#1f6f43"


def timeseries(axes: Axes, panel: Panel, answers: Answers, span: Span) -> None:
    """A line for each series, broken where there is no sample."""
    lines = _named(answers)
    for name, each in lines:
        at, values = _with_gaps(each, span)
        axes.plot(at, values, label=name, linewidth=1.2, marker=".", markersize=1.5)
    _time_axis(axes, span)
    _value_axis(axes, panel)
    if not lines:
        _nothing(axes)
    if any(name for name, _ in lines):
        handles, names = axes.get_legend_handles_labels()
        columns = 1 if len(names) < LEGEND_NAMES / 2 else 2
        shown = slice(LEGEND_NAMES)
        axes.legend(handles[shown], names[shown], fontsize=6, loc="upper left", framealpha=0.6, ncols=columns)


def stat(axes: Axes, panel: Panel, answers: Answers, _: Span) -> None:
    """One number, large."""
    axes.axis("off")
    values = [each.values[-1] for _, found in answers for each in found]
    text = formatted(float(values[0]), panel.unit) if values else "No data"
    axes.text(0.5, 0.45, text, ha="center", va="center", fontsize=22, color=GREEN, transform=axes.transAxes)


def table(axes: Axes, _panel: Panel, answers: Answers, _: Span) -> None:
    """A row for each series, of its labels."""
    axes.axis("off")
    rows = [each.labels for _, found in answers for each in found]
    columns = sorted({name for row in rows for name in row} - {"__name__"})
    if not rows:
        _nothing(axes)
        return
    cells = [[_cut(row.get(name, "")) for name in columns] for row in rows]
    drawn = axes.table(cells, colLabels=columns, loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(6.5)


def state_timeline(axes: Axes, _: Panel, answers: Answers, span: Span) -> None:
    """A row for each series, red while it is 1."""
    lines = _named(answers)
    for row, (_name, each) in enumerate(lines):
        begins = each.at_seconds[each.values == 1] - span.step_seconds / 2
        axes.broken_barh([(float(begin), span.step_seconds) for begin in begins], (row - 0.4, 0.8), color=RED)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    _time_axis(axes, span)
    axes.grid(visible=True, alpha=0.25)


def heatmap(axes: Axes, _: Panel, answers: Answers, span: Span) -> None:
    """A row for each bucket: Prometheus' buckets hold all below their edge too, a row only what is new in it."""
    buckets = {float(each.labels["le"]): _with_gaps(each, span) for _, found in answers for each in found}
    if not buckets:
        _nothing(axes)
        return
    edges = sorted(buckets)
    new = np.diff(np.array([buckets[edge][1] for edge in edges]), axis=0, prepend=0.0)
    new[~(new > 0)] = np.nan
    axes.pcolormesh(buckets[edges[0]][0], np.arange(len(edges)), new, cmap="Blues", shading="nearest")
    axes.set_yticks(range(len(edges))[::2], [f"{edge:g}" for edge in edges[::2]])
    _time_axis(axes, span)


DRAWINGS: Mapping[Kind, Drawing] = {
    "timeseries": timeseries,
    "stat": stat,
    "table": table,
    "state-timeline": state_timeline,
    "heatmap": heatmap,
}


def _named(answers: Answers) -> list[tuple[str, Series]]:
    """Every series with its name, in the order of the names."""
    return sorted(((named(query, each.labels), each) for query, found in answers for each in found), key=lambda x: x[0])


def _with_gaps(series: Series, span: Span) -> tuple[Float64[np.ndarray, "steps"], Float64[np.ndarray, "steps"]]:
    """Moment and value at every step of the span: NaN where there is no sample."""
    at = np.arange(span.start_seconds, span.end_seconds + span.step_seconds / 2, span.step_seconds)
    values = np.full(len(at), np.nan)
    values[np.rint((series.at_seconds - span.start_seconds) / span.step_seconds).astype(int)] = series.values
    return at, values


def _time_axis(axes: Axes, span: Span) -> None:
    """Whole minutes or hours in UTC, not too many of them."""
    seconds = span.end_seconds - span.start_seconds
    apart = next((each for each in TICKS_APART_SECONDS if seconds / each <= TICKS), TICKS_APART_SECONDS[-1])
    at = np.arange(-(-span.start_seconds // apart) * apart, span.end_seconds, apart)
    shape = "%H:%M:%S" if apart < TICKS_APART_SECONDS[2] else "%H:%M"
    axes.set_xticks(at, [datetime.fromtimestamp(float(each), UTC).strftime(shape) for each in at])
    axes.set_xlim(span.start_seconds, span.end_seconds)
    axes.tick_params(labelsize=6, labelcolor=GRAY, color=GRAY)


def _value_axis(axes: Axes, panel: Panel) -> None:
    axes.grid(visible=True, alpha=0.25)
    if panel.logarithmic:
        axes.set_yscale("log")
        return
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda number, _: formatted(number, panel.unit))


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "No data", ha="center", va="center", color=GRAY, transform=axes.transAxes)


def _cut(text: str) -> str:
    return text if len(text) <= CELL_LETTERS else f"{text[: CELL_LETTERS // 2]}…"
