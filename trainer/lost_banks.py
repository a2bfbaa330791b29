"""Whether the store still has the bank that each view is inspected by; where it has not, a new one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from trainer.build_policy import after_bank_lost
from trainer.window import lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ingest.bank_state import BankInForce
    from monitoring.metrics import TrainerMetrics
    from trainer.bank_store import BankStore
    from trainer.effects import WindowEffects
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)


class LostBanks:
    """Looks for the bank in force of every owned view: when the view comes, and every `check_seconds`."""

    def __init__(
        self,
        *,
        views: OwnedViews,
        bank_store: BankStore,
        windows: WindowStore,
        publisher: Publisher,
        effects: WindowEffects,
        metrics: TrainerMetrics,
        check_seconds: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._views = views
        self._bank_store = bank_store
        self._windows = windows
        self._publisher = publisher
        self._effects = effects
        self._metrics = metrics
        self._check_seconds = check_seconds
        self._clock = clock
        self._now = now
        self._told: dict[str, str] = {}
        """Of each view the lost bank that its event named: what follows the event may have to be tried again."""

    def check(self) -> None:
        """Look where it is time to. Raises StoreError, NotOurs and Aborted; what was not done stays due."""
        for view in self._views:
            checked_at = view.bank_checked_at
            if checked_at is None or self._clock() - checked_at >= self._check_seconds:
                self._check(view)
                view.bank_checked(self._clock())

    def _check(self, view: OwnedView) -> None:
        active = view.state.active
        if active is None or lost(view.state, view.index) or not self._bank_store.is_lost(active):
            return
        log.error("bank_lost", view=view.name, version=active.version)
        self._recover(view, active)

    def _recover(self, view: OwnedView, bank: BankInForce) -> None:
        complete = self._windows.complete(view.index)
        if complete is not view.index:
            view.change_window(complete)
        transition = after_bank_lost(view.state, view.index, view.training, at=self._now())
        # The event first: after a crash it may come twice, but it is never left out.
        if self._told.get(view.name) != bank.version:
            self._publisher.publish(view, transition)
            self._metrics.banks_lost.labels(view=view.name).inc()
            self._told[view.name] = bank.version
        stopped = self._effects.take(view, transition, request=None, cause="the loss of the bank in force")
        if stopped.events:
            self._publisher.publish(view, stopped)
