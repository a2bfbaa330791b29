"""What `patchline up` shows of the services it runs: metrics, and one sentence for /readyz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitoring.health import Readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.local_stack.supervisor import ProgramState
    from monitoring.metrics import UpMetrics


class SupervisorReporting:
    """Brings the metrics to how the programs stand."""

    def __init__(self, metrics: UpMetrics) -> None:
        self._metrics = metrics
        self._restarts: dict[str, int] = {}

    def show(self, states: Sequence[ProgramState]) -> None:
        """Call it after each round of the supervisor."""
        for each in states:
            self._metrics.running.labels(service=each.name).set(each.running)
            self._metrics.restarts.labels(service=each.name).inc(each.restarts - self._restarts.get(each.name, 0))
            self._restarts[each.name] = each.restarts


def readiness_of(states: Sequence[ProgramState]) -> Readiness:
    """Whether every service runs and stays; what is wrong with those that do not."""
    faults = [each.fault for each in states if each.fault is not None]
    if not states:
        return Readiness(ready=False, sentence="Not ready: waiting for a broker.")
    if faults:
        return Readiness(ready=False, sentence=f"Not ready: {'; '.join(faults)}. The others go on.")
    return Readiness(ready=True, sentence=f"Ready: {', '.join(each.name for each in states)} run.")
