"""Prints docs/metrics.md from the declarations: `python -m monitoring.metrics_page > docs/metrics.md`."""

from __future__ import annotations

import sys
from math import prod

from prometheus_client import Histogram

from monitoring.declared import OPEN, Metric, declarations
from monitoring.metrics import SERVICES

HEAD = """# Metrics

<!-- Generated: python -m monitoring.metrics_page > docs/metrics.md -->

Every service answers on its metrics port: `/metrics` (Prometheus), `/healthz` (503 when its loop hangs) and `/readyz`
(503 with a sentence while it cannot do its work). A metric is declared once, in `monitoring/metrics/`; this page is
printed from there.

Counters and histograms of a view stand at zero from the moment a process owns the view, others from the start, gauges
from their first value; all series of a view that is revoked or gone disappear. The service and its instance are the
scraper's own labels.
"""
LINE_VIEWS = 1000


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for service in SERVICES:
        summary = (service.__doc__ or "").strip()
        rows = [_row(kind, metric) for kind, metric in declarations(service).values()]
        parts.append(
            f"## {summary}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    parts.extend([_values(), _buckets(), _cardinality()])
    return "\n".join(parts)


def series_per_view(service: type) -> int:
    """How many series one view adds to a service's page, each label value and bucket counted."""
    return sum(
        prod(len(values) for values in metric.labels.values() if values != OPEN) * _series(kind, metric)
        for kind, metric in declarations(service).values()
        if "view" in metric.labels
    )


def _series(kind: type, metric: Metric) -> int:
    return len(metric.buckets) + 3 if kind is Histogram else 1  # +Inf, _sum, _count


def _row(kind: type, metric: Metric) -> str:
    labels = ", ".join(metric.labels)
    return f"| `{metric.name}` | {kind.__name__.lower()} | {metric.unit} | {labels} | {metric.help} |"


def _declared() -> list[tuple[type, Metric]]:
    return [entry for service in SERVICES for entry in declarations(service).values()]


def _values() -> str:
    rows = [
        f"| `{metric.name}` | {label} | {', '.join(values)} |"
        for _, metric in _declared()
        for label, values in metric.labels.items()
        if values != OPEN
    ]
    return "## What labels say\n\n| metric | label | values |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _buckets() -> str:
    rows = [
        f"| `{metric.name}` | {', '.join(f'{edge:g}' for edge in metric.buckets)} |"
        for _, metric in _declared()
        if metric.buckets
    ]
    return "## Buckets\n\n| histogram | upper edges |\n|---|---|\n" + "\n".join(rows) + "\n"


def _cardinality() -> str:
    counts = {service.__name__.removesuffix("Metrics").lower(): series_per_view(service) for service in SERVICES}
    rows = [f"| {name} | {count} | {count * LINE_VIEWS:,} |" for name, count in counts.items() if count]
    total = sum(counts.values())
    rows.append(f"| all | {total} | {total * LINE_VIEWS:,} |")
    return (
        "## Series\n\nOne view adds these; a view is owned by one process of a service at a time.\n\n"
        f"| service | one view | {LINE_VIEWS:,} views |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
