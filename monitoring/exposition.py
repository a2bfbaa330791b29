"""The text that Prometheus scrapes, byte for byte as `prometheus_client.generate_latest` writes it, in less time.

At the cap of views a scrape has fifty thousand series and more, and half of what the library does for each is looking
whether names are legal: ours are checked when metrics are declared. Those of `monitoring.kept_text` have their text at
hand; what is not a plain counter, gauge or histogram is left to the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from monitoring.kept_text import KeptFamily, label_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry, Metric

PLAIN = {"counter": "_total", "gauge": "", "histogram": ""}
"""Kinds of metrics that are written here, and what their name ends with."""
LEFT_TO_THE_LIBRARY = ("_created", "_gsum", "_gcount")


def exposition(registry: CollectorRegistry) -> bytes:
    """All metrics of a registry in the Prometheus text format, version 0.0.4."""
    return "".join([_text(metric) for metric in registry.collect()]).encode()


def _text(metric: Metric) -> str:
    if isinstance(metric, KeptFamily):
        return _head(metric) + metric.text()
    if metric.type not in PLAIN or any(each.name.endswith(LEFT_TO_THE_LIBRARY) for each in metric.samples[-1:]):
        return generate_latest(_Only(metric)).decode()
    return _head(metric) + "".join(
        f"{name}{label_text(labels)} {number_text(value)}{_stamp(timestamp)}\n"
        for name, labels, value, timestamp, *_ in metric.samples
    )


def _head(metric: Metric) -> str:
    name = metric.name + PLAIN[metric.type]
    documentation = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {documentation}\n# TYPE {name} {metric.type}\n"


def _stamp(timestamp: object) -> str:
    return "" if timestamp is None else f" {int(float(timestamp) * 1000):d}"  # type: ignore[arg-type]  # a number or a Timestamp


class _Only:
    """One metric, where the library wants a registry."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        """That metric."""
        return [self._metric]
