"""A panel, a dashboard, and the JSON that Grafana reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "table", "heatmap", "state-timeline"]

COLUMNS = 24
"""Grafana's grid is as wide."""
SCHEMA_VERSION = 39
REFRESH = "10s"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_YES_OR_NO = {
    "type": "value",
    "options": {
        "0": {"text": "no", "color": "transparent", "index": 0},
        "1": {"text": "yes", "color": "red", "index": 1},
    },
}


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are called. A rate goes over `$__rate_interval`, Grafana's own."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture. `description` is for the person who looks at it; `unit` is Grafana's name; `width` of 24 columns.

    `logarithmic` is for what says something over many powers of ten.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    logarithmic: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One page; `of_view` gives it a choice of view, `$view` in its queries."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    of_view: bool = False


def grafana_json(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana keeps it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["patchline"],
        "editable": False,
        "schemaVersion": SCHEMA_VERSION,
        "refresh": REFRESH,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source_choice(), *([_view_choice()] if dashboard.of_view else [])]},
        "links": [_links()],
        "panels": _placed(dashboard.panels),
    }


def places(panels: tuple[Panel, ...]) -> list[dict[str, int]]:
    """Where each panel lies in the grid, in columns and rows: left to right, and a new row where one does not fit."""
    placed = []
    x = y = height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        placed.append({"x": x, "y": y, "w": panel.width, "h": panel.height})
        x, height = x + panel.width, max(height, panel.height)
    return placed


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    numbered = enumerate(zip(panels, places(panels), strict=True), start=1)
    return [_panel_json(panel, number, place) for number, (panel, place) in numbered]


def _panel_json(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.kind),
        "targets": [_target(panel.kind, place, query) for place, query in enumerate(panel.queries)],
    }


def _field(panel: Panel) -> dict[str, Any]:
    if panel.kind == "state-timeline":
        return {
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 80, "lineWidth": 0},
            "mappings": [_YES_OR_NO],
        }
    if panel.logarithmic:
        return {"unit": panel.unit, "custom": {"scaleDistribution": {"type": "log", "log": 10}}}
    return {"unit": panel.unit, "min": 0}


def _target(kind: Kind, place: int, query: Query) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": kind in ("stat", "table"),
        "range": kind not in ("stat", "table"),
        "format": {"table": "table", "heatmap": "heatmap"}.get(kind, "time_series"),
    }


def _options(kind: Kind) -> dict[str, Any]:
    options: dict[Kind, dict[str, Any]] = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
        "table": {"showHeader": True},
        "state-timeline": {
            "mergeValues": True,
            "showValue": "never",
            "rowHeight": 0.8,
            "legend": {"showLegend": False},
        },
        "heatmap": {"calculate": False, "yAxis": {"unit": "short"}, "color": {"mode": "scheme", "scheme": "Blues"}},
    }
    return options[kind]


def _source_choice() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _view_choice() -> dict[str, Any]:
    query = 'label_values(patchline_frames_received_total{view!=""}, view)'
    return {"name": "view", "label": "View", "type": "query", "datasource": SOURCE, "query": query, "refresh": 2}


def _links() -> dict[str, Any]:
    return {"type": "dashboards", "tags": ["patchline"], "title": "Patchline", "asDropdown": True, "keepTime": True}
