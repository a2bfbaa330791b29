"""What is done to the views in hand, each round: new ones announced, commands carried out, builds started and ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from ingest.bank_event import BankEventKind
from softpatch.bank import InvalidBank
from trainer.bank_store import named_versions
from trainer.build_order import BuildFailed, BuildFinished, BuildStep
from trainer.build_policy import after_build, after_failed_build, after_stopped_build, build_due
from trainer.build_process import progress_ratio
from trainer.commands import ViewNow, after_command, asked_by
from trainer.transition import Effect, Initiator, Transition
from trainer.undecided_band import with_band
from trainer.window import LastBuild, forgotten

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.command import Command
    from monitoring.metrics import TrainerMetrics
    from trainer.bank_store import BankStore
    from trainer.build_queue import BuildQueue, Job
    from trainer.command_queue import CommandQueue
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)

STAGE_NAMES = {"condense": "coreset"}
"""Where softpatch and the metrics call the same stage by two names."""


class ViewController:
    """Teaches the views in hand. Its methods raise StoreError, NotOurs and Aborted; what they did not do stays due."""

    def __init__(
        self,
        *,
        holdings: OwnedViews,
        inbox: CommandQueue,
        builds: BuildQueue,
        shelf: BankStore,
        windows: WindowStore,
        publisher: Publisher,
        metrics: TrainerMetrics,
        graph_hash: str,
        now: Callable[[], datetime],
    ) -> None:
        self._holdings = holdings
        self._inbox = inbox
        self._builds = builds
        self._shelf = shelf
        self._windows = windows
        self._publisher = publisher
        self._metrics = metrics
        self._graph_hash = graph_hash
        self._now = now

    def announce(self) -> None:
        """Give every view that has none its first bank state, and the metrics the age of the bank in force."""
        for view in self._holdings:
            if not view.announced:
                self._publisher.publish(view, Transition(view.state, ()))
            if view.state.active is not None and view.state.active.version != view.dated:
                self._date(view, view.state.active.version)

    def follow_commands(self) -> None:
        """Carry out what has been asked of the views in hand. Raises BrokerUnreachable."""
        self._inbox.poll()
        for view in self._holdings:
            for offset, command in self._inbox.waiting(view.name, through=view.state.commands_through):
                self._carry_out(view, command, offset)

    def look_after_builds(self) -> None:
        """Start the build whose turn it is, or see how the running one does."""
        self._let_go()
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

    def _date(self, view: OwnedView, version: str) -> None:
        created = self._shelf.created_at(view.name, version)
        if created:
            self._metrics.bank_created.labels(view=view.name).set(datetime.fromisoformat(created).timestamp())
        view.dated = version

    def _carry_out(self, view: OwnedView, command: Command, offset: int) -> None:
        now = ViewNow(view.state, view.index, view.training)
        outcome = after_command(command, offset, now, self._shelf, at=self._now())
        if outcome is None:
            return
        # The window first: a crash before the state is published only has the command carried out again.
        stopped = self._take_effect(view, command, outcome)
        self._publisher.publish(view, Transition(outcome.state, (*outcome.events, *stopped.events)))
        refused = any(event.kind is BankEventKind.COMMAND_REFUSED for event in outcome.events)
        self._metrics.commands.labels(view=view.name, verdict="refused" if refused else "done").inc()

    def _take_effect(self, view: OwnedView, command: Command, outcome: Transition) -> Transition:
        """Do to window and builds what a command asks; the events of a build that it stopped."""
        if outcome.effect is Effect.NONE:
            return Transition(None, ())
        view.dirty = True
        self._publisher.flush(in_use=self._builds.reads)  # a trainer that was left behind learns it here
        stopped = Transition(None, ())
        if outcome.effect is Effect.BUILD:
            view.index = view.index.model_copy(update={"asked": asked_by(command)})
        else:
            stopped = self._stop_build(view, command, outcome)
        if outcome.effect is Effect.FORGET:
            view.take(forgotten(view.index))
        view.dirty = True
        self._publisher.save(view)
        return stopped

    def _stop_build(self, view: OwnedView, command: Command, outcome: Transition) -> Transition:
        """End the view's build, running or asked for: what it would give was not what this command wants."""
        job, asked = self._builds.stop(view.name), view.index.asked
        view.index = view.index.model_copy(
            update={"asked": None, "last_build": LastBuild(seen=view.index.seen, failed=False)}
        )
        self._metrics.build_progress.labels(view=view.name).set(0)
        cause = job.cause if job else Initiator(asked.who, asked.why, asked.command_id) if asked else None
        if cause is None:
            return Transition(None, ())
        why = f"stopped by {command.kind.value} of {command.who}"
        return after_stopped_build(outcome.state or view.state, why, cause, at=self._now())

    def _start_next(self) -> None:
        causes = [(view, self._due(view)) for view in self._holdings]
        chosen = self._builds.next_of([(view, cause) for view, cause in causes if cause is not None])
        if chosen is None:
            return
        view, cause = chosen
        view.index = self._windows.complete(view.index)
        if self._due(view) == cause:
            self._builds.start(view, cause)

    def _due(self, view: OwnedView) -> Initiator | None:
        return build_due(view.index, view.state, view.training, graph_hash=self._graph_hash)

    def _let_go(self) -> None:
        """Stop the build of a view that went to another trainer. One that owns nothing has just had an abort."""
        job = self._builds.running
        if job is not None and self._holdings.positions and self._holdings.held(job.view) is None:
            self._builds.stop(job.view)

    def _owner_of(self, job: Job) -> OwnedView | None:
        """The view of a build; None where it is not ours, or was built for by another trainer while it was not."""
        view = self._holdings.held(job.view)
        return view if view is not None and view.index.last_build == job.before else None

    def _finish(self, job: Job, finished: BuildFinished) -> None:
        view = self._owner_of(job)
        if view is None:
            self._builds.clear()
            return
        try:
            built = self._shelf.put(Path(job.process.order.result).read_bytes())
        except InvalidBank as error:
            self._fail(job, f"the bank is not valid: {error}")
            return
        except OSError as error:  # swept away with other temporary files, say: waiting would hold up every view
            self._fail(job, f"the bank that was built cannot be read: {error}")
            return
        for stage, seconds in finished.stage_seconds.items():
            self._metrics.build_seconds.labels(stage=STAGE_NAMES.get(stage, stage)).observe(seconds)
        built = replace(built, bank=with_band(built.bank, view.training.undecided_band))
        built.facts["build_seconds"] = round(job.process.seconds, 3)
        limit = view.training.provisional_interval_ratio
        outcome = after_build(view.state, built, job.cause, interval_ratio_limit=limit, at=self._now())
        if built.bank.version not in named_versions(view.state):  # else an abort was none: it had been committed
            self._publisher.publish(view, outcome)
        self._metrics.bank_patches.labels(view=view.name).set(float(built.facts["patches"]))
        self._metrics.noise_estimate.labels(view=view.name).set(float(built.facts["noise_estimate"]))
        self._end(job, view, "built")
        self._shelf.tidy(view.state)

    def _fail(self, job: Job, reason: str) -> None:
        view = self._owner_of(job)
        if view is None:
            self._builds.clear()
            return
        self._publisher.publish(view, after_failed_build(view.state, reason, job.cause, at=self._now()))
        self._end(job, view, "failed")

    def _end(self, job: Job, view: OwnedView, verdict: str) -> None:
        last = LastBuild(seen=job.seen, failed=verdict == "failed")
        asked = view.index.asked
        answered = asked is None or asked.command_id == job.cause.command_id  # else it came while this one ran
        view.index = view.index.model_copy(update={"asked": None if answered else asked, "last_build": last})
        view.dirty = True
        self._builds.clear()
        self._metrics.builds.labels(view=view.name, verdict=verdict).inc()
        self._metrics.build_progress.labels(view=view.name).set(0)
        self._publisher.save(view)  # what was just published was fenced; after a crash this build is not done again
