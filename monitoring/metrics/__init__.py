"""Every metric of every service, declared once: the annotation of a field is its declaration.

`declare_*` puts a service's metrics on a registry; `python -m monitoring.metrics_page` prints docs/metrics.md from the
same annotations. `values` holds what labels may say, so that `open_view` can show each series at zero from the start
and the page can count series. Nothing of the other packages is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitoring.declared import close_view, declare, open_view
from monitoring.metrics.camera import CameraMetrics
from monitoring.metrics.inference import InferenceMetrics
from monitoring.metrics.kafka import KafkaMetrics
from monitoring.metrics.record import RecordMetrics
from monitoring.metrics.trainer import TrainerMetrics
from monitoring.metrics.up import UpMetrics
from monitoring.metrics.values import GROUP_LABELS, NO_VIEW, OF_NO_VIEW, VIEW_STATES
from monitoring.metrics.watch import WatchMetrics
from monitoring.verdicts import DRIFT_VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

__all__ = [
    "SERVICES",
    "CameraMetrics",
    "InferenceMetrics",
    "KafkaMetrics",
    "RecordMetrics",
    "TrainerMetrics",
    "UpMetrics",
    "WatchMetrics",
    "close_view",
    "declare_camera",
    "declare_inference",
    "declare_kafka",
    "declare_record",
    "declare_trainer",
    "declare_up",
    "declare_watch",
    "open_view",
    "set_bank",
    "set_drift",
    "set_groups",
    "set_state",
]

SERVICES = (InferenceMetrics, TrainerMetrics, WatchMetrics, RecordMetrics, CameraMetrics, UpMetrics, KafkaMetrics)


def declare_inference(registry: CollectorRegistry) -> InferenceMetrics:
    """The inference service's metrics, on this registry."""
    metrics = declare(InferenceMetrics, registry)
    metrics.dead_letters.labels(view=NO_VIEW)
    return metrics


def declare_trainer(registry: CollectorRegistry) -> TrainerMetrics:
    """The trainer's metrics, on this registry."""
    metrics = declare(TrainerMetrics, registry)
    for reason in OF_NO_VIEW:
        metrics.frames_skipped.labels(NO_VIEW, reason)
    return metrics


def declare_watch(registry: CollectorRegistry) -> WatchMetrics:
    """The drift service's metrics, on this registry."""
    metrics = declare(WatchMetrics, registry)
    metrics.skipped.labels(NO_VIEW, "unreadable")
    return metrics


def declare_record(registry: CollectorRegistry) -> RecordMetrics:
    """The recorder's metrics, on this registry."""
    return declare(RecordMetrics, registry)


def declare_camera(registry: CollectorRegistry) -> CameraMetrics:
    """A camera's metrics, on this registry."""
    return declare(CameraMetrics, registry)


def declare_up(registry: CollectorRegistry) -> UpMetrics:
    """The metrics of `patchline up`, on this registry."""
    return declare(UpMetrics, registry)


def declare_kafka(registry: CollectorRegistry) -> KafkaMetrics:
    """The Kafka adapter's metrics, on this registry."""
    return declare(KafkaMetrics, registry)


def set_state(metrics: TrainerMetrics, view: str, state: str) -> None:
    """Put 1 at the state the view is in and 0 at the others. Raises ValueError for a state that is none."""
    if state not in VIEW_STATES:
        raise ValueError(f"view state {state!r} must be one of {', '.join(VIEW_STATES)}")
    for stage in VIEW_STATES:
        metrics.view_state.labels(view=view, stage=stage).set(stage == state)


def set_groups(metrics: TrainerMetrics, view: str, counts: Mapping[str, int]) -> None:
    """Show how many groups of the view have each label; 0 where `counts` names none.

    Raises ValueError for a label that is none.
    """
    if unknown := sorted(counts.keys() - set(GROUP_LABELS)):
        raise ValueError(f"group label {unknown[0]!r} must be one of {', '.join(GROUP_LABELS)}")
    for label in GROUP_LABELS:
        metrics.groups.labels(view=view, label=label).set(counts.get(label, 0))


def set_drift(metrics: WatchMetrics, view: str, verdict: str | None) -> None:
    """Put 1 at what happens to the view and 0 at all else; None: nothing. Raises ValueError for an unknown verdict."""
    if verdict is not None and verdict not in DRIFT_VERDICTS:
        raise ValueError(f"drift verdict {verdict!r} must be one of {', '.join(DRIFT_VERDICTS)}")
    for each in DRIFT_VERDICTS:
        metrics.verdict.labels(view=view, verdict=each).set(each == verdict)


def set_bank(metrics: InferenceMetrics, view: str, *, version: str, epoch: int, provider: str, precision: str) -> None:
    """Name the bank in force; the labels of the one before go with it."""
    labels = {"version": version, "epoch": str(epoch), "provider": provider, "precision": precision}
    metrics.bank.labels(view=view).info(labels)
