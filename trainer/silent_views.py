"""Views that end: one that never had a bank and has sent nothing for long is retired, with its window and its state.

What a serial number in the key leaves behind, or a camera that was tried for an hour, would otherwise cost memory,
metric series and files for ever. A view with a bank ends only by a person's word (`patchline views retire`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ingest.bank_state import ViewState
from trainer.owned_views import each_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher
    from trainer.view_files import ViewFiles

log = structlog.get_logger(__name__)

CHECK_SECONDS = 60.0


class SilentViews:
    """Looks for them once a minute. Raises StoreError, NotOurs and Aborted; what it did not do stays due."""

    def __init__(
        self,
        views: OwnedViews,
        publisher: Publisher,
        files: ViewFiles,
        *,
        forget_after_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._views = views
        self._publisher = publisher
        self._files = files
        self._forget_after_seconds = forget_after_seconds
        self._clock = clock
        self._checked_at = clock()

    def check(self) -> None:
        """Retire what has been silent for too long."""
        if self._clock() - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = self._clock()
        each_in_turn(self._views, self._look_at)

    def _look_at(self, view: OwnedView) -> None:
        """A view that people have sent something to keeps its state: it says what of that is carried out."""
        if not self._views.confirm(view):
            return
        if view.heard_at is None:
            view.heard(self._clock())
            return
        state, silent = view.state, self._clock() - view.heard_at > self._forget_after_seconds
        asked = state.commands_through or state.feedback_through
        if silent and state.state is ViewState.LEARNING and state.active is None and not asked:
            self._publisher.remove_state(view)
            self._files.remove(view.name)
            self._views.drop(view.name)
            log.info("view_forgotten", view=view.name, frames=len(view.index.frames))
