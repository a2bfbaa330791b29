"""What Grafana does with a panel: it fills in its variables, queries Prometheus over HTTP, and names each series."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float64

    from monitoring.dashboards.panel import Panel, Query

PATIENCE_SECONDS = 30.0
LEAST_SCRAPES = 4
"""Grafana's `$__rate_interval` spans at least so many scrapes, so that a rate has two samples when one is missed."""


class NoAnswer(Exception):
    """Prometheus cannot be reached, or refuses the query; the message holds its own words."""


@dataclass(frozen=True)
class Span:
    """The time a picture shows, in Unix seconds, one point every step."""

    start_seconds: float
    end_seconds: float
    step_seconds: float


@dataclass(frozen=True)
class Series:
    """One line of a picture; an instant query gives a single point."""

    labels: Mapping[str, str]
    at_seconds: Float64[np.ndarray, "points"]
    values: Float64[np.ndarray, "points"]


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server by its address, as http://127.0.0.1:9090, and the interval it scrapes at."""

    url: str
    scrape_seconds: float = 5.0

    def at(self, expression: str, at_seconds: float) -> list[Series]:
        """What an expression is at one moment. Raises NoAnswer."""
        return [_series(each["metric"], [each["value"]]) for each in self._get("query", expression, time=at_seconds)]

    def over(self, expression: str, span: Span) -> list[Series]:
        """What an expression is over a span. Raises NoAnswer."""
        parameters = {"start": span.start_seconds, "end": span.end_seconds, "step": span.step_seconds}
        return [_series(each["metric"], each["values"]) for each in self._get("query_range", expression, **parameters)]

    def _get(self, page: str, expression: str, **more: float) -> list[dict[str, Any]]:
        address = f"{self.url}/api/v1/{page}?{urlencode({'query': expression, **more})}"
        try:
            with urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 -- whoever calls names the server
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except HTTPError as error:
            raise NoAnswer(f"{expression}: {error.read().decode(errors='replace')}") from None
        except (URLError, OSError) as error:
            raise NoAnswer(f"{self.url} does not answer: {error}") from None
        return result


def query_panel(panel: Panel, prometheus: Prometheus, span: Span, *, view: str) -> list[tuple[Query, list[Series]]]:
    """The series of each query of a panel: stat and table show the end of the span, all else the whole of it.

    Raises NoAnswer.
    """
    answers = []
    for query in panel.queries:
        expression = filled(query.expression, span, scrape_seconds=prometheus.scrape_seconds, view=view)
        instant = panel.kind in ("stat", "table")
        found = prometheus.at(expression, span.end_seconds) if instant else prometheus.over(expression, span)
        answers.append((query, found))
    return answers


def filled(expression: str, span: Span, *, scrape_seconds: float, view: str) -> str:
    """The expression with Grafana's variables filled in."""
    interval = max(span.step_seconds + scrape_seconds, LEAST_SCRAPES * scrape_seconds)
    return expression.replace("$__rate_interval", f"{interval * 1000:.0f}ms").replace("$view", view)


def named(query: Query, labels: Mapping[str, str]) -> str:
    """What a series is called under a picture."""
    if not query.legend:
        return ", ".join(f"{name}={text}" for name, text in sorted(labels.items()) if name != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), query.legend).strip()


def _series(labels: Mapping[str, str], points: list[tuple[float, str]]) -> Series:
    at, values = zip(*points, strict=True)
    return Series(labels, np.array(at, np.float64), np.array([float(each) for each in values]))
