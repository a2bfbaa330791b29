"""A camera's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prometheus_client import Counter, Gauge  # noqa: TC002 -- get_type_hints reads them at run time

from monitoring.declared import Metric
from monitoring.metrics.values import BY_VIEW


@dataclass(frozen=True)
class CameraMetrics:
    """A camera: frames on their way into Kafka."""

    frames_sent: Annotated[
        Counter, Metric("patchline_camera_frames_sent_total", "frames", "Frames handed to the producer.", BY_VIEW)
    ]
    bytes_sent: Annotated[
        Counter, Metric("patchline_camera_sent_bytes_total", "bytes", "Encoded image bytes handed over.", BY_VIEW)
    ]
    frames_failed: Annotated[
        Counter, Metric("patchline_camera_frames_failed_total", "frames", "Frames the broker did not take.", BY_VIEW)
    ]
    behind: Annotated[
        Gauge,
        Metric("patchline_camera_behind_seconds", "seconds", "How far sending lags behind the wanted rate.", BY_VIEW),
    ]
