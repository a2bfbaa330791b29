"""`python -m monitoring.dashboards.draw FOLDER --view VIEW`: a picture of every dashboard, from a real Prometheus.

The panels lie as in Grafana. For whoever has no Grafana at hand, and for docs/dashboards.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitoring.dashboards.files import DASHBOARDS
from monitoring.dashboards.panel import COLUMNS, places
from monitoring.dashboards.pictures import DRAWINGS
from monitoring.dashboards.prometheus_query import Prometheus, Span, query_panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from monitoring.dashboards.panel import Dashboard, Panel
    from monitoring.dashboards.pictures import Answers

COLUMN_INCHES, ROW_INCHES, TITLE_INCHES = 0.62, 0.3, 0.5
LEFT_INCHES, RIGHT_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.62, 0.16, 0.3, 0.28
"""Of a panel: room for the values, the title and the times."""
WORDS_INCHES = 1.5
"""At the left of a state timeline, whose rows have names."""
DOTS_PER_INCH = 80
POINTS = 240
"""Across a picture."""


def draw(dashboard: Dashboard, ask: Callable[[Panel], Answers], span: Span) -> Figure:
    """One dashboard as a picture; `ask` gives the series of each query of a panel."""
    from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra

    grid = places(dashboard.panels)
    height = TITLE_INCHES + ROW_INCHES * max(place["y"] + place["h"] for place in grid)
    figure = Figure(figsize=(COLUMNS * COLUMN_INCHES, height))
    figure.suptitle(dashboard.title, x=0.01, y=1 - 0.1 / height, ha="left", fontsize=14, weight="bold")
    for panel, place in zip(dashboard.panels, grid, strict=True):
        axes = figure.add_axes(_box(place, panel, height))
        axes.set_title(panel.title, loc="left", fontsize=9, weight="bold", pad=4)
        DRAWINGS[panel.kind](axes, panel, ask(panel), span)
    return figure


def _box(place: dict[str, int], panel: Panel, height: float) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel's axes, as shares of a figure of so many inches."""
    left = place["x"] * COLUMN_INCHES + (WORDS_INCHES if panel.kind == "state-timeline" else LEFT_INCHES)
    right = (place["x"] + place["w"]) * COLUMN_INCHES - RIGHT_INCHES
    top = height - TITLE_INCHES - place["y"] * ROW_INCHES - TOP_INCHES
    bottom = height - TITLE_INCHES - (place["y"] + place["h"]) * ROW_INCHES + BOTTOM_INCHES
    width = COLUMNS * COLUMN_INCHES
    return left / width, bottom / height, (right - left) / width, (top - bottom) / height


def main(arguments: Sequence[str] | None = None) -> None:
    """Write FOLDER/<uid>.png for every dashboard. Raises NoAnswer."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards.draw", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--view", required=True, help="the view of the dashboard of one view, as line-1/camera-1")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="address of the Prometheus to ask")
    parser.add_argument("--scrape-seconds", type=float, default=5.0, help="how often it scrapes")
    parser.add_argument("--minutes", type=float, default=60.0, help="how far back the pictures go")
    chosen: Any = parser.parse_args(arguments)
    prometheus = Prometheus(chosen.prometheus, scrape_seconds=chosen.scrape_seconds)
    end = time.time()
    span = Span(end - 60 * chosen.minutes, end, max(1.0, 60 * chosen.minutes / POINTS))
    for dashboard in DASHBOARDS:
        figure = draw(dashboard, lambda panel: query_panel(panel, prometheus, span, view=chosen.view), span)
        figure.savefig(chosen.folder / f"{dashboard.uid}.png", dpi=DOTS_PER_INCH)


if __name__ == "__main__":
    main()
