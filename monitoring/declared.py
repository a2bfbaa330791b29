"""How a metric is declared: a dataclass field annotated with its kind and a `Metric` value. No metric is named here."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 -- get_type_hints reads it at run time
from dataclasses import dataclass, field, fields
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from monitoring.kept_text import KeptCounter, KeptGauge, KeptHistogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MetricLabel = Literal[
    "view", "stage", "verdict", "reason", "label", "partition", "statistic", "header", "service", "bound"
]
"""All that may part a metric's series: each is bounded by the line itself. Bank versions are in an info metric."""

OPEN: tuple[str, ...] = ()
"""The values of a label that only the line knows: its views, its partitions."""

_Service = TypeVar("_Service")


@dataclass(frozen=True)
class Metric:
    """What one metric is called and means, which labels it has with which values, and for histograms the buckets."""

    name: str
    unit: str
    help: str
    labels: Mapping[MetricLabel, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    by_bank: bool = False
    """It says something only of a view with a bank: a view that learns has no series of it."""


_DECLARED: dict[type, Mapping[str, tuple[type, Metric]]] = {}
"""What was asked before: reading the hints of a class takes milliseconds, and every view asks."""


def declarations(service: type) -> Mapping[str, tuple[type, Metric]]:
    """Each field of a service's metrics with its kind (Counter, Gauge, Histogram, Info) and its declaration.

    Raises TypeError for a field that is not `Annotated[kind, Metric(...)]`.
    """
    if service not in _DECLARED:
        hints = get_type_hints(service, include_extras=True)
        _DECLARED[service] = MappingProxyType(
            {f.name: _kind_and_metric(f.name, hints[f.name]) for f in fields(service)}
        )
    return _DECLARED[service]


def declare(service: type[_Service], registry: CollectorRegistry) -> _Service:
    """A service's metrics, each on this registry; counters and histograms whose labels are all known stand at zero."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # else a *_created gauge stands beside every series
    made = {name: _make(kind, metric, registry) for name, (kind, metric) in declarations(service).items()}
    metrics = service(**made)
    for name, (kind, metric) in declarations(service).items():
        if metric.labels and OPEN not in metric.labels.values() and kind in (Counter, Histogram):
            _touch(metrics, name, metric.labels)
    return metrics


def open_view(metrics: object, view: str, *, has_bank: bool = True) -> None:
    """Show the view's counters and histograms at zero: a series nobody touched is absent, and no alert sees absence.

    Gauges wait for their first value: a threshold of 0 would be a lie. Safe to call again, once it has a bank.
    """
    for name, (kind, metric) in declarations(type(metrics)).items():
        if "view" not in metric.labels or kind in (Gauge, Info) or (metric.by_bank and not has_bank):
            continue
        _touch(metrics, name, {**metric.labels, "view": (view,)})


def close_view(metrics: object, view: str) -> None:
    """Drop every series of a view that was revoked or is gone: its last values are nobody's any more."""
    for name, (_, metric) in declarations(type(metrics)).items():
        if "view" in metric.labels:
            getattr(metrics, name).remove_by_labels({"view": view})


def _touch(metrics: object, name: str, labels: Mapping[MetricLabel, tuple[str, ...]]) -> None:
    for values in product(*labels.values()):
        getattr(metrics, name).labels(**dict(zip(labels, values, strict=True)))


def _kind_and_metric(name: str, hint: Any) -> tuple[type, Metric]:  # noqa: ANN401 -- a type hint is any object
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{name} must be Annotated[kind, Metric(...)], not {hint}")
    kind, metric = get_args(hint)
    return kind, metric


def _make(kind: type, metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram | Info:
    labels = list(metric.labels)
    if kind is Histogram:
        return KeptHistogram(metric.name, metric.help, labels, registry=registry, buckets=metric.buckets)
    if kind is Info:
        return Info(metric.name.removesuffix("_info"), metric.help, labels, registry=registry)  # it puts _info back
    return (KeptCounter if kind is Counter else KeptGauge)(metric.name, metric.help, labels, registry=registry)
