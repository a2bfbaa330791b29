"""What is done to the owned views in each round: they are announced, people are answered, builds start and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.bank_event import BankEventKind
from ingest.kafka.errors import Aborted, BrokerUnreachable, Fenced, TooLarge
from ingest.store import StoreError
from softpatch.bank import InvalidBank
from trainer.bank_store import named_versions
from trainer.build_order import BuildFailed, BuildFinished, BuildStep
from trainer.build_policy import after_failed_build, build_due
from trainer.build_process import progress_ratio
from trainer.commands import CommandContext, after_command, failed_command
from trainer.commands import build_request_of as command_request
from trainer.feedback import FeedbackContext, after_feedback, failed_word
from trainer.feedback import build_request_of as feedback_request
from trainer.gate_records import show_examination
from trainer.groups import frames_of, with_groups
from trainer.modes import with_modes
from trainer.owned_views import each_in_turn
from trainer.promotion import after_build
from trainer.publisher import NotOurs
from trainer.set_aside import NotTaken
from trainer.threshold_settings import false_reject_ratio_of, undecided_band_of, with_band
from trainer.transition import Effect, Transition
from trainer.window import LastBuild, lost, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.command import Command
    from ingest.feedback import Feedback
    from monitoring.metrics import TrainerMetrics
    from softpatch.gate.verdict import GateVerdict
    from trainer.annotation_store import AnnotationStore
    from trainer.bank_store import BankStore
    from trainer.build_policy import BuiltBank
    from trainer.build_queue import BuildQueue, Job
    from trainer.effects import WindowEffects
    from trainer.feedback import Frames
    from trainer.gate_records import GateRecords
    from trainer.message_queue import MessageQueue
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.publisher import Publisher
    from trainer.set_aside import SetAside
    from trainer.transition import Initiator
    from trainer.view_files import ViewFiles
    from trainer.window import Change
    from trainer.window_store import WindowStore

REFUSALS = frozenset({BankEventKind.COMMAND_REFUSED, BankEventKind.FEEDBACK_REFUSED})
MAX_REASON_CHARACTERS = 1000
PASSING = (Aborted, BrokerUnreachable, Fenced, NotOurs, StoreError)
"""No fault of a message: it is carried out once they have passed, here or by another trainer."""


class ViewController:
    """Trains the owned views. Its methods raise StoreError, NotOurs and Aborted; what they did not do stays due."""

    def __init__(
        self,
        *,
        views: OwnedViews,
        commands: MessageQueue[Command],
        feedback: MessageQueue[Feedback],
        frames: Frames,
        builds: BuildQueue,
        bank_store: BankStore,
        annotation_store: AnnotationStore,
        windows: WindowStore,
        gate_records: GateRecords,
        files: ViewFiles,
        publisher: Publisher,
        effects: WindowEffects,
        set_aside: SetAside,
        metrics: TrainerMetrics,
        graph_hash: str,
        now: Callable[[], datetime],
    ) -> None:
        self._views = views
        self._commands = commands
        self._feedback = feedback
        self._frames = frames
        self._builds = builds
        self._bank_store = bank_store
        self._annotation_store = annotation_store
        self._windows = windows
        self._gate_records = gate_records
        self._files = files
        self._publisher = publisher
        self._effects = effects
        self._set_aside = set_aside
        self._metrics = metrics
        self._graph_hash = graph_hash
        self._now = now

    def announce(self) -> None:
        """Publish the first bank state of every view that has none, and show the age of each bank in force."""
        each_in_turn(self._views, self._announce)

    def follow_commands(self) -> None:
        """Carry out the commands to the owned views. Raises BrokerUnreachable."""
        self._commands.poll()
        each_in_turn(self._views, self._follow_commands)

    def follow_feedback(self) -> None:
        """Take people's words on frames and groups of the owned views. Raises BrokerUnreachable."""
        self._feedback.poll()
        each_in_turn(self._views, self._follow_feedback)

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

    def _announce(self, view: OwnedView) -> None:
        if not view.announced:
            self._publisher.publish(view, Transition(view.state, ()))
        if view.state.active is not None and view.state.active.version != view.dated:
            self._show_age(view, view.state.active.version)

    def _follow_commands(self, view: OwnedView) -> None:
        if self._commands.made_anew(view.name, through=view.state.commands_through):
            view.published(view.state.model_copy(update={"commands_through": 0}))
        for offset, command in self._commands.waiting(view.name, through=view.state.commands_through):
            builds = self._builds.reads(view.name) or view.index.build_request is not None
            context = CommandContext(
                command, view.state, view.index, view.training, self._bank_store, self._now(), builds
            )
            try:
                self._carry_out(view, context, offset)
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever one message does, the others are carried out
                self._retry_or_refuse(
                    ("commands", 0, offset), error, view, failed_command(context, _words(error), offset=offset)
                )

    def _follow_feedback(self, view: OwnedView) -> None:
        if self._feedback.made_anew(view.name, through=view.state.feedback_through):
            view.published(view.state.model_copy(update={"feedback_through": 0}))
        for offset, feedback in self._feedback.waiting(view.name, through=view.state.feedback_through):
            context = FeedbackContext(feedback, view.state, self._frames, self._now())
            try:
                self._take_word(view, context, offset)
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever one message does, the others are carried out
                self._retry_or_refuse(
                    ("feedback", 0, offset), error, view, failed_word(context, _words(error), offset=offset)
                )

    def _retry_or_refuse(
        self, place: tuple[str, int, int], error: Exception, view: OwnedView, refusal: Transition
    ) -> None:
        """Refuse what has failed too often. Raises NotTaken where it is to be tried again."""
        if not self._set_aside.failed(place, error, at_once=isinstance(error, TooLarge)):
            raise NotTaken(f"{place[0]}, offset {place[2]}: {_words(error)}") from error
        self._publisher.publish(view, refusal)

    def _show_age(self, view: OwnedView, version: str) -> None:
        created = self._bank_store.created_at(view.name, version)
        if created:
            self._metrics.bank_created.labels(view=view.name).set(datetime.fromisoformat(created).timestamp())
        view.age_shown(version)

    def _carry_out(self, view: OwnedView, context: CommandContext, offset: int) -> None:
        command, transition = context.command, after_command(context, offset=offset)
        if transition is None:
            return
        # The window first: a crash before the state is published only has the command carried out again.
        cause = f"{command.kind.value} of {command.who}"
        stopped = self._effects.take(view, transition, request=command_request(command), cause=cause)
        self._publisher.publish(view, replace(transition, events=(*transition.events, *stopped.events)))
        if transition.effect is Effect.RETIRE:
            self._files.remove(view.name)
            self._views.drop(view.name)
        else:
            self._metrics.commands.labels(view=view.name, verdict=_verdict(transition)).inc()

    def _take_word(self, view: OwnedView, context: FeedbackContext, offset: int) -> None:
        feedback, transition = context.feedback, after_feedback(context, offset=offset)
        if transition is None:
            return
        self._annotation_store.write(transition.files)
        cause = f"{feedback.kind.value} of {feedback.who}"
        stopped = self._effects.take(view, transition, request=feedback_request(feedback), cause=cause)
        self._publisher.publish(view, replace(transition, events=(*transition.events, *stopped.events)))
        self._metrics.feedback.labels(view=view.name, verdict=_verdict(transition)).inc()
        self._annotation_store.tidy(view.state)

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
            built = replace(self._built(view, job), measures=finished.measures)
        except InvalidBank as error:
            self._fail(job, f"the bank is not valid: {error}")
            return
        except OSError as error:  # swept away with other temporary files, say: waiting would hold up every view
            self._fail(job, f"the bank that was built cannot be read: {error}")
            return
        verdict = None
        if built.bank.version not in named_versions(view.state):  # else an abort was none: it had been committed
            verdict = self._examine(view, job, built)
        self._show_built(view, built, finished)
        view.change_window(self._with_modes(view, job, built))
        if verdict is not None and verdict.line_changed and built.measures is not None:
            view.change_window(without_frames(view.index, frozenset(built.measures.failing)))
        self._end(job, view, "built" if verdict is None or verdict.passed else "refused")
        self._bank_store.tidy(view.state)
        self._gate_records.tidy(view.name)

    def _built(self, view: OwnedView, job: Job) -> BuiltBank:
        """The bank that a build gave, stored, with the threshold and the band that the view has now."""
        data = Path(job.process.order.result).read_bytes()
        built = self._bank_store.put(data, false_reject_ratio=false_reject_ratio_of(view.state, view.training))
        return replace(
            built,
            bank=with_band(built.bank, undecided_band_of(view.state, view.training)),
            facts=built.facts | {"build_seconds": round(job.process.seconds, 3)},
            window_full=job.window_full,
            replaces_lost=lost(view.state, view.index),
        )

    def _examine(self, view: OwnedView, job: Job, built: BuiltBank) -> GateVerdict | None:
        """Publish what follows from the build, with the groups that it found; what the gate said of it."""
        now = self._now()
        examined = after_build(view.state, built, job.initiator, training=view.training, at=now)
        transition = with_groups(examined.transition, built.groups, frames_of(job.process.order), at=now)
        transition = self._gate_records.with_record(transition, view, built, examined.verdict, at=now)
        self._annotation_store.write(transition.files)
        self._publisher.publish(view, transition)
        self._annotation_store.tidy(view.state)
        if examined.verdict is not None and built.measures is not None:
            show_examination(self._metrics, view.name, built.measures, examined.verdict)
        return examined.verdict

    def _with_modes(self, view: OwnedView, job: Job, built: BuiltBank) -> Change:
        names = frozenset(job.process.order.frame_names)
        return with_modes(view.index, built.groups, names, cap_ratio=view.training.mode_cap_ratio)

    def _show_built(self, view: OwnedView, built: BuiltBank, finished: BuildFinished) -> None:
        for stage, seconds in finished.stage_seconds.items():
            self._metrics.build_seconds.labels(stage=stage).observe(seconds)
        self._metrics.bank_patches.labels(view=view.name).set(float(built.facts["patches"]))
        self._metrics.noise_estimate.labels(view=view.name).set(float(built.facts["noise_estimate"]))
        self._metrics.planted_found.labels(view=view.name).set(float(built.facts.get("planted_found_ratio", nan)))
        self._metrics.smallest_found.labels(view=view.name).set(float(built.facts.get("smallest_found_px", nan)))

    def _fail(self, job: Job, reason: str) -> None:
        view = self._owner_of(job)
        if view is None:
            self._builds.clear()
            return
        self._publisher.publish(view, after_failed_build(view.state, reason, job.initiator, at=self._now()))
        self._end(job, view, "failed")

    def _end(self, job: Job, view: OwnedView, verdict: str) -> None:
        failed = verdict == "failed"
        last = LastBuild.of(job.settings, seen=job.seen, failed=failed, at_ms=job.newest_ms)
        change: dict[str, object] = {"last_build": last}
        request = view.index.build_request
        if request is not None and request.command_id == job.initiator.command_id:
            change["build_request"] = None  # any other one came while this build ran, and stays
        if not failed:
            change["lost_bank"] = None
        view.change_window(view.index.model_copy(update=change))
        self._builds.clear()
        self._metrics.builds.labels(view=view.name, verdict=verdict).inc()
        self._metrics.build_progress.labels(view=view.name).set(0)
        self._publisher.save(view)  # what was just published was fenced; after a crash this build is not done again


def _words(error: Exception) -> str:
    return f"it fails whenever it is tried: {type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS]


def _verdict(transition: Transition) -> str:
    return "refused" if any(event.kind in REFUSALS for event in transition.events) else "done"
