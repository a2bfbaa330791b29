"""What is done to the owned views, each round: new ones announced, commands carried out, builds started and ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.bank_event import BankEventKind
from softpatch.bank import InvalidBank
from trainer.bank_store import named_versions
from trainer.build_order import BuildFailed, BuildFinished, BuildStep
from trainer.build_policy import after_build, after_failed_build, after_stopped_build, build_due
from trainer.build_process import progress_ratio
from trainer.commands import CommandContext, after_command, build_request_of
from trainer.threshold_settings import with_band
from trainer.transition import Effect, Initiator, Transition
from trainer.window import LastBuild, forgotten

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.command import Command
    from monitoring.metrics import TrainerMetrics
    from trainer.bank_store import BankStore
    from trainer.build_policy import BuiltBank
    from trainer.build_queue import BuildQueue, Job
    from trainer.message_queue import CommandQueue
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher
    from trainer.window_store import WindowStore


class ViewController:
    """Trains the owned views. Its methods raise StoreError, NotOurs and Aborted; what they did not do stays due."""

    def __init__(
        self,
        *,
        views: OwnedViews,
        commands: CommandQueue,
        builds: BuildQueue,
        bank_store: BankStore,
        windows: WindowStore,
        publisher: Publisher,
        metrics: TrainerMetrics,
        graph_hash: str,
        now: Callable[[], datetime],
    ) -> None:
        self._views = views
        self._commands = commands
        self._builds = builds
        self._bank_store = bank_store
        self._windows = windows
        self._publisher = publisher
        self._metrics = metrics
        self._graph_hash = graph_hash
        self._now = now

    def announce(self) -> None:
        """Publish the first bank state of every view that has none, and show the age of each bank in force."""
        for view in self._views:
            if not view.announced:
                self._publisher.publish(view, Transition(view.state, ()))
            if view.state.active is not None and view.state.active.version != view.dated:
                self._show_age(view, view.state.active.version)

    def follow_commands(self) -> None:
        """Carry out the commands to the owned views. Raises BrokerUnreachable."""
        self._commands.poll()
        for view in self._views:
            for offset, command in self._commands.waiting(view.name, through=view.state.commands_through):
                self._carry_out(view, command, offset)

    def follow_builds(self) -> None:
        """Start the build whose turn it is, or take in how the running one stands."""
        self._stop_foreign_build()
        job = self._builds.running
        if job is None:
            self._start_next()
            return
        answer = self._builds.poll()
        if isinstance(answer, BuildStep):
            self._metrics.build_progress.labels(view=job.view).set(progress_ratio(answer))
        elif isinstance(answer, BuildFailed):
            self._fail(job, answer.failed)
        elif isinstance(answer, BuildFinished):
            self._finish(job, answer)

    def _show_age(self, view: OwnedView, version: str) -> None:
        created = self._bank_store.created_at(view.name, version)
        if created:
            self._metrics.bank_created.labels(view=view.name).set(datetime.fromisoformat(created).timestamp())
        view.age_shown(version)

    def _carry_out(self, view: OwnedView, command: Command, offset: int) -> None:
        context = CommandContext(command, view.state, view.index, view.training, self._bank_store, self._now())
        transition = after_command(context, offset=offset)
        if transition is None:
            return
        # The window first: a crash before the state is published only has the command carried out again.
        stopped = self._take_effect(view, command, transition)
        self._publisher.publish(view, Transition(transition.state, (*transition.events, *stopped.events)))
        refused = any(event.kind is BankEventKind.COMMAND_REFUSED for event in transition.events)
        self._metrics.commands.labels(view=view.name, verdict="refused" if refused else "done").inc()

    def _take_effect(self, view: OwnedView, command: Command, transition: Transition) -> Transition:
        """Apply a command to window and builds; returns the events of a build that it stopped."""
        stopped = Transition(None, ())
        if transition.effect is Effect.NONE:
            return stopped
        self._publisher.flush(in_use=self._builds.reads, confirm=view)  # a trainer that was left behind learns it here
        if transition.effect is Effect.BUILD:
            view.change_window(view.index.model_copy(update={"build_request": build_request_of(command)}))
        else:
            stopped = self._stop_build(view, command, transition)
        if transition.effect is Effect.FORGET:
            view.change_window(forgotten(view.index))
        self._publisher.save(view)
        return stopped

    def _stop_build(self, view: OwnedView, command: Command, transition: Transition) -> Transition:
        """End the view's build, running or requested: its bank would undo what this command does."""
        job, request = self._builds.stop(view.name), view.index.build_request
        last = LastBuild(seen=view.index.seen, failed=False)
        view.change_window(view.index.model_copy(update={"build_request": None, "last_build": last}))
        self._metrics.build_progress.labels(view=view.name).set(0)
        if job is not None:
            initiator = job.initiator
        elif request is not None:
            initiator = Initiator(request.who, request.why, request.command_id)
        else:
            return Transition(None, ())
        why = f"stopped by {command.kind.value} of {command.who}"
        return after_stopped_build(transition.state or view.state, why, initiator, at=self._now())

    def _start_next(self) -> None:
        due = [(view, initiator) for view in self._views if (initiator := self._due(view)) is not None]
        chosen = self._builds.next_of(due)
        if chosen is None:
            return
        view, initiator = chosen
        complete = self._windows.complete(view.index)
        if complete is not view.index:
            view.change_window(complete)
        if self._due(view) == initiator:
            self._builds.start(view, initiator)

    def _due(self, view: OwnedView) -> Initiator | None:
        return build_due(view.index, view.state, view.training, graph_hash=self._graph_hash)

    def _stop_foreign_build(self) -> None:
        """Stop the build of a view that went to another trainer. One that owns nothing has just had an abort."""
        job = self._builds.running
        if job is not None and self._views.positions and self._views.get(job.view) is None:
            self._builds.stop(job.view)

    def _owner_of(self, job: Job) -> OwnedView | None:
        """The view of a build; None where it is not ours, or was built for by another trainer while it was not."""
        view = self._views.get(job.view)
        return view if view is not None and view.index.last_build == job.before else None

    def _finish(self, job: Job, finished: BuildFinished) -> None:
        view = self._owner_of(job)
        if view is None:
            self._builds.clear()
            return
        try:
            built = self._bank_store.put(Path(job.process.order.result).read_bytes())
        except InvalidBank as error:
            self._fail(job, f"the bank is not valid: {error}")
            return
        except OSError as error:  # swept away with other temporary files, say: waiting would hold up every view
            self._fail(job, f"the bank that was built cannot be read: {error}")
            return
        built = replace(built, bank=with_band(built.bank, view.training.undecided_band))
        built.facts["build_seconds"] = round(job.process.seconds, 3)
        if built.bank.version not in named_versions(view.state):  # else an abort was none: it had been committed
            limit = view.training.provisional_interval_ratio
            promoted = after_build(view.state, built, job.initiator, interval_ratio_limit=limit, at=self._now())
            self._publisher.publish(view, promoted)
        self._show_built(view, built, finished)
        self._end(job, view, "built")
        self._bank_store.tidy(view.state)

    def _show_built(self, view: OwnedView, built: BuiltBank, finished: BuildFinished) -> None:
        for stage, seconds in finished.stage_seconds.items():
            self._metrics.build_seconds.labels(stage=stage).observe(seconds)
        self._metrics.bank_patches.labels(view=view.name).set(float(built.facts["patches"]))
        self._metrics.noise_estimate.labels(view=view.name).set(float(built.facts["noise_estimate"]))

    def _fail(self, job: Job, reason: str) -> None:
        view = self._owner_of(job)
        if view is None:
            self._builds.clear()
            return
        self._publisher.publish(view, after_failed_build(view.state, reason, job.initiator, at=self._now()))
        self._end(job, view, "failed")

    def _end(self, job: Job, view: OwnedView, verdict: str) -> None:
        last = LastBuild(seen=job.seen, failed=verdict == "failed")
        request = view.index.build_request
        if request is not None and request.command_id == job.initiator.command_id:
            request = None  # any other one came while this build ran, and stays
        view.change_window(view.index.model_copy(update={"build_request": request, "last_build": last}))
        self._builds.clear()
        self._metrics.builds.labels(view=view.name, verdict=verdict).inc()
        self._metrics.build_progress.labels(view=view.name).set(0)
        self._publisher.save(view)  # what was just published was fenced; after a crash this build is not done again
