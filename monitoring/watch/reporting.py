"""The output of the drift service: metrics, and one log line where an episode opens, is renamed or ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import structlog

from monitoring.metrics import close_view, open_view, set_drift
from monitoring.metrics.values import DRIFT_STATISTICS, DRIFT_TESTS
from monitoring.watch.views import Followed, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitoring.drift.detector import Distances
    from monitoring.drift.episode import Episode
    from monitoring.metrics import KafkaMetrics, WatchMetrics
    from monitoring.watch.views import FollowedView

log = structlog.get_logger(__name__)


class DriftReporting:
    """Keeps the metrics of one process; views come with their first decision and go with their partition."""

    def __init__(self, metrics: WatchMetrics, kafka: KafkaMetrics, *, frames_per_false_alarm: float) -> None:
        self._metrics = metrics
        self._kafka = kafka
        self._frames_per_false_alarm = frames_per_false_alarm
        self._open: set[str] = set()
        self._owned = 0

    def unreadable(self, view: str, detail: str) -> None:
        """A record of `decisions` that is none."""
        self._metrics.skipped.labels(view="", reason="unreadable").inc()
        log.warning("decision_unreadable", key=view, detail=detail)

    def followed(self, view: FollowedView, result: Followed | Skipped, *, again: bool, seconds: float) -> None:
        """One decision; `again`: it was counted before this start, and only its effects on the state count now."""
        if view.name not in self._open:
            self._open.add(view.name)
            open_view(self._metrics, view.name)
        if isinstance(result, Skipped):
            if not again:
                self._metrics.skipped.labels(view=view.name, reason=result.reason).inc()
            if result.over is not None:
                self._over(view, result.over, "no calibration", again=again)
            return
        self._metrics.stage_seconds.labels(stage="follow").observe(seconds)
        if not again:
            self._metrics.followed.labels(view=view.name).inc()
        if result.before is not None and result.after is None:
            why = "new bank" if result.first else "back within bounds"
            self._over(view, result.before, why, again=again)
        if result.after is not None and (result.before is None or result.before.verdict is not result.after.verdict):
            self._noticed(view, result.after, renamed=result.before is not None, again=again)

    def shown(self, views: Sequence[FollowedView]) -> None:
        """How all views stand, once a second."""
        self._metrics.views.set(len(views))
        for view in views:
            self._show(view)

    def looked(self, view: FollowedView, found: Distances, seconds: float) -> None:
        """The distances of one view."""
        self._metrics.stage_seconds.labels(stage="distances").observe(seconds)
        values = {
            "kolmogorov_smirnov": found.kolmogorov_smirnov,
            "wasserstein": found.wasserstein,
            "psi": found.psi,
            "mmd_squared": found.mmd_squared,
        }
        chances = {"kolmogorov_smirnov": found.kolmogorov_smirnov_p, "psi": found.psi_p, "mmd_squared": found.mmd_p}
        for statistic, value in values.items():
            self._metrics.distance.labels(view=view.name, statistic=statistic).set(value)
        for statistic, chance in chances.items():
            self._metrics.p_value.labels(view=view.name, statistic=statistic).set(chance)

    def calibrated(self, seconds: float) -> None:
        """A bank's calibration was read."""
        self._metrics.stage_seconds.labels(stage="calibration").observe(seconds)

    def gone(self, views: Iterable[FollowedView]) -> None:
        """Views that others follow now."""
        for view in views:
            self._open.discard(view.name)
            close_view(self._metrics, view.name)

    def forgotten(self, views: Iterable[FollowedView]) -> None:
        """Views that were silent for too long."""
        for view in views:
            self._metrics.forgotten.inc()
            log.info("view_forgotten", view=view.name)
            self.gone([view])

    def polled(self, records: int) -> None:
        """Records taken from Kafka."""
        self._kafka.records_polled.inc(records)

    def poll_failed(self, cause: str) -> None:
        """A poll that ended in an abort."""
        self._kafka.polls_failed.inc()
        log.warning("poll_failed", cause=cause)

    def committed(self, seconds: float) -> None:
        """A transaction of offsets."""
        self._kafka.transactions_committed.inc()
        self._kafka.commit_seconds.observe(seconds)

    def aborted(self, cause: str) -> None:
        """A transaction that did not happen."""
        self._kafka.transactions_aborted.inc()
        log.warning("commit_aborted", cause=cause)

    def owned(self, partitions: int) -> None:
        """Partitions that this process follows now."""
        self._kafka.rebalances.inc(partitions != self._owned)
        self._kafka.partitions_owned.set(partitions)
        self._owned = partitions

    def _over(self, view: FollowedView, episode: Episode, why: str, *, again: bool) -> None:
        log.info("drift_over", view=view.name, verdict=episode.verdict.value, why=why, replayed=again)

    def _noticed(self, view: FollowedView, episode: Episode, *, renamed: bool, again: bool) -> None:
        if not again and not renamed:
            self._metrics.episodes.labels(view=view.name).inc()
        if not renamed:
            self._metrics.noticed.labels(view=view.name).set(view.decided_at)
        log.warning(
            "drift_renamed" if renamed else "drift_noticed",
            view=view.name,
            verdict=episode.verdict.value,
            since_frames=episode.noticed - episode.began,
            detail=episode.detail,
            decided_at=datetime.fromtimestamp(view.decided_at, UTC).isoformat(timespec="milliseconds"),
            replayed=again,
        )

    def _show(self, view: FollowedView) -> None:
        standing = view.drift
        set_drift(self._metrics, view.name, None if view.episode is None else view.episode.verdict.label)
        if standing is None:
            self._clear(view.name)
            return
        baseline, following = standing.baseline, standing.following
        scores = following.newest(len(following.watched))[:, 0]
        before = baseline.reference.ordered[:, 0]
        values = {
            "decided": view.decided_at,
            "evidence": following.evidence_ratio(baseline, frames_per_false_alarm=self._frames_per_false_alarm),
            "rejected": float(np.mean(scores > baseline.reference.threshold)),
            "rejected_before": float(np.mean(before > baseline.reference.threshold)),
            "calibration_frames": len(before),
        }
        for name, value in values.items():
            getattr(self._metrics, name).labels(view=view.name).set(value)

    def _clear(self, view: str) -> None:
        """What was true under a bank whose calibration is not at hand any more."""
        for name in ("decided", "evidence", "rejected", "rejected_before", "calibration_frames"):
            getattr(self._metrics, name).remove(view)
        for statistic in DRIFT_STATISTICS:
            self._metrics.distance.remove(view, statistic)
        for statistic in DRIFT_TESTS:
            self._metrics.p_value.remove(view, statistic)
