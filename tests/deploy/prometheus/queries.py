"""What a PromQL expression names: metrics and labels, held against the declarations."""

from __future__ import annotations

import re
from itertools import chain

from prometheus_client import Histogram

from monitoring.declared import Metric, declarations
from monitoring.metrics import SERVICES

SCRAPERS_LABELS = {"job", "instance"}
NAME = re.compile(r"\bpatchline_\w+")
SELECTOR = re.compile(r"\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def exposed() -> dict[str, set[str]]:
    """Every series name a service shows, with its labels; a histogram shows three names."""
    return dict(
        chain.from_iterable(_series(kind, metric) for s in SERVICES for kind, metric in declarations(s).values())
    )


def declared() -> set[str]:
    """Every metric by the name that docs/metrics.md gives it."""
    return {metric.name for service in SERVICES for _, metric in declarations(service).values()}


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    return set(NAME.findall(expression))


def labels_in(expression: str) -> set[str]:
    """The labels that an expression selects or groups by."""
    matched = chain.from_iterable(MATCHER.findall(selector) for selector in SELECTOR.findall(expression))
    grouped = chain.from_iterable(
        (label.strip() for label in each.split(",") if label.strip()) for each in GROUPING.findall(expression)
    )
    return set(matched) | set(grouped)


def problems(expression: str) -> list[str]:
    """What an expression reads that no service shows."""
    shown = exposed()
    names = names_in(expression)
    unknown = sorted(names - shown.keys())
    known_labels = SCRAPERS_LABELS.union(*(shown.get(name, set()) for name in names))
    strange = sorted(labels_in(expression) - known_labels)
    return [f"no metric {name}" for name in unknown] + [f"no label {label}" for label in strange]


def _series(kind: type, metric: Metric) -> list[tuple[str, set[str]]]:
    name, labels = metric.name, set(metric.labels)
    if kind is not Histogram:
        return [(name, labels)]
    return [(f"{name}_bucket", labels | {"le"}), (f"{name}_sum", labels), (f"{name}_count", labels)]
