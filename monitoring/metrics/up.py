"""The metrics of `patchline up`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import Metric
from monitoring.metrics.values import SERVICE_NAMES


@dataclass(frozen=True)
class UpMetrics:
    """`patchline up`: the services of one machine, started again when they die."""

    running: Annotated[
        Gauge,
        Metric(
            "patchline_service_running",
            "0 or 1",
            "1 while the service's process runs, 0 between its end and its next start.",
            {"service": SERVICE_NAMES},
        ),
    ]
    restarts: Annotated[
        Counter,
        Metric(
            "patchline_service_restarts_total",
            "restarts",
            "Times that the service ended and was started again.",
            {"service": SERVICE_NAMES},
        ),
    ]
