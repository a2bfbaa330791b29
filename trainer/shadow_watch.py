"""Follows `decisions.shadow` and puts banks in force, or refuses them, once they have been tried for long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from ingest.contract import BadMessage
from ingest.decision import Decision
from trainer.owned_views import each_in_turn
from trainer.shadow import BOUND, ShadowTally, after_shadow, tried_enough, within_bounds
from trainer.threshold_settings import false_reject_ratio_of
from trainer.transition import NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ingest.kafka.records import Record
    from monitoring.metrics import TrainerMetrics
    from trainer.bank_store import BankStore
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher

log = structlog.get_logger(__name__)

MOST_VIEWS = 1000
"""Views whose tallies are kept: decisions of views that others own come along."""


class ShadowDecisions(Protocol):
    """What has come on `decisions.shadow`."""

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:
        """The next records. Raises BrokerUnreachable."""
        ...


class ShadowWatch:
    """Counts for all views: one that moves to this trainer goes on with what the topic still has."""

    def __init__(
        self,
        *,
        decisions: ShadowDecisions | None,
        views: OwnedViews,
        bank_store: BankStore,
        publisher: Publisher,
        metrics: TrainerMetrics,
        now: Callable[[], datetime],
    ) -> None:
        """`decisions` is None where there are none to be read."""
        self._decisions = decisions
        self._views = views
        self._bank_store = bank_store
        self._publisher = publisher
        self._metrics = metrics
        self._now = now
        self._tallies: dict[str, ShadowTally] = {}

    def follow(self) -> None:
        """Take in what came, and act where a bank was tried for long enough. Raises as the publisher does."""
        for record in () if self._decisions is None else self._decisions.poll(0):
            self._take(record)
        each_in_turn(self._views, self._settle)

    def tally(self, view: str) -> ShadowTally | None:
        """What is counted of a view."""
        return self._tallies.get(view)

    def _take(self, record: Record) -> None:
        try:
            decision = Decision.from_bytes(record.value or b"")
        except BadMessage as error:
            log.warning("not_a_shadow_decision", offset=record.offset, cause=str(error))
            return
        if decision.bank is None:
            return
        before = self._tallies.get(decision.view)
        if before is None or before.version != decision.bank.version:
            before = ShadowTally(decision.bank.version)
        self._tallies.pop(decision.view, None)
        self._tallies[decision.view] = before.after(decision)  # behind all others
        while len(self._tallies) > MOST_VIEWS:
            del self._tallies[next(iter(self._tallies))]

    def _settle(self, view: OwnedView) -> None:
        tally = self._tallies.get(view.name)
        if tally is None or not tried_enough(view.state, tally, view.training, at=self._now()):
            return
        if view.training.promotion == "by_person" and within_bounds(tally, view.training):
            return
        try:
            built = self._bank_store.built(
                view.name, tally.version, false_reject_ratio=false_reject_ratio_of(view.state, view.training)
            )
        except NotPossible as error:
            log.warning("shadow_bank_gone", view=view.name, cause=str(error))
            return
        transition = after_shadow(view.state, built, tally, view.training, at=self._now())
        if transition is None:
            return
        self._publisher.publish(view, transition)
        if not within_bounds(tally, view.training):
            self._metrics.gate_refusals.labels(view=view.name, bound=BOUND).inc()
            self._metrics.builds.labels(view=view.name, verdict="refused").inc()
