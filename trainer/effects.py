"""What a transition does to the window and the builds of its view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.build_policy import after_stopped_build
from trainer.transition import Effect, Initiator, Transition
from trainer.window import LastBuild, forgotten, read_anew

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitoring.metrics import TrainerMetrics
    from trainer.build_queue import BuildQueue
    from trainer.owned_views import OwnedView
    from trainer.publisher import Publisher
    from trainer.window import BuildRequest

STOPS_BUILD = frozenset({Effect.FORGET, Effect.POSTPONE, Effect.REPLACE_BUILD, Effect.READ_AGAIN, Effect.RETIRE})
REQUESTS_BUILD = frozenset({Effect.BUILD, Effect.REPLACE_BUILD})
MARKS_LOSS = frozenset({Effect.READ_AGAIN, Effect.KEEP_WINDOW})


class WindowEffects:
    """Carries effects out. Methods raise StoreError and Aborted; what was not done can be done again."""

    def __init__(
        self, builds: BuildQueue, publisher: Publisher, metrics: TrainerMetrics, *, now: Callable[[], datetime]
    ) -> None:
        self._builds = builds
        self._publisher = publisher
        self._metrics = metrics
        self._now = now

    def take(self, view: OwnedView, transition: Transition, *, request: BuildRequest | None, cause: str) -> Transition:
        """Apply an effect; returns the event of a build that it stopped, which says that `cause` did.

        `request` is the build that follows, where the effect is to build.
        """
        effect = transition.effect
        if effect is Effect.NONE:
            return Transition(None, ())
        self._publisher.flush(in_use=self._builds.reads, confirm=view)  # a trainer that was left behind learns it here
        stopped = self._stop_build(view, transition, cause) if effect in STOPS_BUILD else Transition(None, ())
        if effect in REQUESTS_BUILD:
            view.change_window(view.index.model_copy(update={"build_request": request}))
        elif effect in (Effect.FORGET, Effect.RETIRE):
            view.change_window(forgotten(view.index))
        elif effect is Effect.READ_AGAIN:
            self._publisher.read_again(view)
            view.change_window(read_anew(view.index))
        if effect in MARKS_LOSS and view.state.active is not None:
            view.change_window(view.index.model_copy(update={"lost_bank": view.state.active.version}))
        self._publisher.save(view)
        return stopped

    def _stop_build(self, view: OwnedView, transition: Transition, cause: str) -> Transition:
        """End the view's build, running or requested: its bank would undo what the transition does."""
        job, request = self._builds.stop(view.name), view.index.build_request
        view.change_window(view.index.model_copy(update={"build_request": None}))
        if transition.effect is Effect.POSTPONE:
            index = view.index
            last = LastBuild.of(view.training.build, seen=index.seen, failed=False, at_ms=index.newest_ms)
            view.change_window(view.index.model_copy(update={"last_build": last}))
        self._metrics.build_progress.labels(view=view.name).set(0)
        if job is not None:
            initiator = job.initiator
        elif request is not None:
            initiator = Initiator(request.who, request.why, request.command_id)
        else:
            return Transition(None, ())
        state = transition.state or view.state
        return after_stopped_build(state, f"stopped by {cause}", initiator, at=self._now())
