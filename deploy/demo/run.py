"""The run of a demo: a line on this machine learns from a window of unfiltered frames, then decides the rest."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import TYPE_CHECKING

from deploy.demo.report import DemoReport, draw_sheet, report_of
from deploy.errors import CommandFailed, UsageError
from deploy.local_stack.outcomes import OutcomeReader, all_outcomes, balance, end_offsets
from deploy.local_stack.running import LocalStack, StackOptions
from deploy.local_stack.sending import held_back, send_all
from ingest.contract import SourceRecord
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from monitoring.console.accounts import Accounts
from monitoring.console.roles import Role
from monitoring.record.database import Database
from softpatch.bank import bank_from_bytes
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deploy.demo.plan import Plan
    from deploy.local_stack.sending import SentFrame
    from deploy.output.progress import ProgressDisplay
    from ingest.cameras.source import CameraFrame
    from softpatch.bank import Bank

VIEW = "demo/camera-1"
BUDGET_BYTES = 2**30
"""The embedded broker never frees memory: what a demo may put into it."""
UNDER_WAY = 24
"""Frames sent and not decided, at most: the camera never outruns inference into the deadline."""
READY_SECONDS, LEARN_SECONDS, DECIDE_SECONDS, READ_SECONDS = 90.0, 600.0, 120.0, 60.0
SHEET = "contact-sheet.png"
ACCOUNT = "demo"
KEEP_RATE = 2.0
"""Frames a second of a line that stays up."""


@dataclass(frozen=True)
class Demo:
    """The options of a demo."""

    plan: Plan
    folder: Path
    rate_per_second: float | None
    flags: Sequence[str] = ()
    bootstrap: str | None = None
    topic_prefix: str = ""
    keep: bool = False
    """Stay up when all is decided, and send the frames again slowly, until Ctrl-C."""


def run_demo(
    demo: Demo,
    progress: ProgressDisplay,
    *,
    started: Callable[[str, str], None],
    reported: Callable[[DemoReport], None],
) -> DemoReport:
    """Run the whole line once. `started` is told the console's address and a password, `reported` the figures.

    Raises:
        UsageError: the frames would not fit into the embedded broker.
        CommandFailed: a step did not happen in time.
    """
    _keep_to_the_budget(demo)
    with progress.step("Starting broker and topics"):
        line = LocalStack.start(_stack_options(demo))
    with line, OutcomeReader(line.settings.kafka) as outcomes:
        password = console_password(line.settings.record.database)
        line.run("train", "inspect", "watch", "record", "console")
        started(line.console_address, password)
        window = _send_window(line, demo.plan, progress)
        bank, build_seconds = _learn(line, progress)
        _decided(line, outcomes, len(window), lambda _: None)
        rest = _decide(line, demo, outcomes, len(window), progress)
        if not demo.keep:
            with progress.step("Stopping the services"):
                line.stop_services()
        first = outcomes.first_of([sent.source for sent in rest])
        whole = balance(_inputs(line), all_outcomes(line.settings.kafka, seconds=READ_SECONDS))
        with progress.step("Drawing the contact sheet"):
            sheet = draw_sheet(demo.plan, rest, first, bank, demo.folder / SHEET)
        report = report_of(rest, first, whole, bank, build_seconds=build_seconds, sheet=sheet)
        reported(report)
        if demo.keep:
            _stay(line, demo)
    return report


def console_password(database: str) -> str:
    """Make the account `demo`, an engineer, and return its password, new for each run."""
    password = secrets.token_urlsafe(9)
    with Database.open(database) as opened:
        Accounts(opened).add(ACCOUNT, Role.ENGINEER, password, at=datetime.now(UTC))
    return password


def _stay(line: LocalStack, demo: Demo) -> None:
    """Send the frames again, slowly, for as long as the embedded broker has room; Ctrl-C ends it."""
    send_all(line.settings.kafka, VIEW, _again(line, demo), rate_per_second=KEEP_RATE, on_sent=lambda _: None)
    while True:
        line.look()
        time.sleep(1 / KEEP_RATE)


def _again(line: LocalStack, demo: Demo) -> Iterator[CameraFrame]:
    """The frames to decide, again and again; the embedded broker is full one day."""
    left_bytes = BUDGET_BYTES - demo.plan.size_bytes
    for frame in cycle(demo.plan.rest):
        left_bytes -= len(frame.encoded)
        if demo.bootstrap is None and left_bytes < 0:
            return
        line.look()
        yield frame


def _keep_to_the_budget(demo: Demo) -> None:
    if demo.bootstrap is None and demo.plan.size_bytes > BUDGET_BYTES:
        raise UsageError(
            f"{demo.plan.size_bytes / 2**20:.0f} MiB of frames do not fit into the embedded broker "
            f"({BUDGET_BYTES / 2**20:.0f} MiB); choose a smaller folder, or give --bootstrap-servers"
        )


def _stack_options(demo: Demo) -> StackOptions:
    """First bank after exactly the window, and no second one: the figures are of one bank."""
    frames = demo.plan.distinct_window_frames
    learning = {
        "first_build_frames": frames,
        "window_frames": frames,
        "window_span_frames": 10**9,
        "window_bytes": max(2**29, 2 * demo.plan.size_bytes),
        "rebuild_every_frames": 10**9,
    }
    # Until the bank is there nobody else needs the cores.
    over = {"views": {VIEW: learning}, "trainer": {"build_threads": available_cores()}}
    return StackOptions(demo.folder, demo.flags, demo.bootstrap, demo.topic_prefix, over)


def _send_window(line: LocalStack, plan: Plan, progress: ProgressDisplay) -> list[SentFrame]:
    with progress.counted("Streaming the window", len(plan.window)) as step:
        return send_all(line.settings.kafka, VIEW, plan.window, rate_per_second=None, on_sent=lambda _: step.advance())


def _learn(line: LocalStack, progress: ProgressDisplay) -> tuple[Bank, float]:
    """Wait until inference reports the bank that the trainer promoted; returns it and the seconds of its build."""
    with progress.step("Services join their groups"):
        ports = line.settings.inference.metrics_port, line.settings.trainer.metrics_port
        line.wait_until(lambda: all(map(line.ready, ports)), seconds=READY_SECONDS, what="the start of the services")
    with progress.counted("Learning from the window", 100) as step:

        def in_force() -> bool:
            step.reach(round(100 * _build_progress(line)))
            return line.bank_in_force(VIEW) is not None

        line.wait_until(in_force, seconds=LEARN_SECONDS, what="a bank in force")
        step.reach(100)
    return _bank(line)


def _build_progress(line: LocalStack) -> float:
    samples = line.samples(line.settings.trainer.metrics_port, "patchline_build_progress_ratio")
    return next((value for _, value in samples), 0.0)


def _bank(line: LocalStack) -> tuple[Bank, float]:
    """The bank that inference decides by, and the seconds its build took."""
    version = line.bank_in_force(VIEW)
    if version is None:
        raise CommandFailed(f"inference lost its bank; see {line.folder}/inspect.log")
    data = FsspecStore.open(line.settings.store.url).get(bank_path(VIEW, version))
    return bank_from_bytes(data), build_seconds_of(line)


def build_seconds_of(line: LocalStack) -> float:
    """What the stages of all builds so far took, as the trainer measures them."""
    samples = line.samples(line.settings.trainer.metrics_port, "patchline_build_stage_seconds_sum")
    return sum(value for _, value in samples)


def _decide(
    line: LocalStack, demo: Demo, outcomes: OutcomeReader, before: int, progress: ProgressDisplay
) -> list[SentFrame]:
    """Send the rest at the line's beat, never more under way than inference can decide in time."""
    sent = 0
    with progress.counted("Inspecting", len(demo.plan.rest)) as step:

        def room() -> bool:
            line.look()
            return before + sent - outcomes.answered < UNDER_WAY

        def on_sent(_: int) -> None:
            nonlocal sent
            sent += 1
            step.reach(max(0, outcomes.answered - before))

        rest = send_all(
            line.settings.kafka,
            VIEW,
            held_back(demo.plan.rest, has_room=room),
            rate_per_second=demo.rate_per_second,
            on_sent=on_sent,
        )
        _decided(line, outcomes, before + len(rest), lambda answered: step.reach(answered - before))
    return rest


def _decided(line: LocalStack, outcomes: OutcomeReader, count: int, on_answered: Callable[[int], None]) -> None:
    """Wait until so many records have an outcome; what is missing after that is counted as lost."""
    ends = time.monotonic() + DECIDE_SECONDS
    while not outcomes.wait_for(count, 0.2) and time.monotonic() < ends:
        line.look()
        on_answered(outcomes.answered)
    on_answered(outcomes.answered)


def _inputs(line: LocalStack) -> list[SourceRecord]:
    """Every input record there is: no transaction writes to `frames`, so offsets have no gaps."""
    return [
        SourceRecord(topic=topic, partition=partition, offset=offset)
        for (topic, partition), end in end_offsets(line.settings.kafka).items()
        for offset in range(end)
    ]
