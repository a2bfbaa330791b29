"""The loop on a partition that a test holds: counted once, shown, told in words, and where it starts."""

from __future__ import annotations

import shutil
import subprocess
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from ingest.command import Command, CommandKind
from ingest.decision import Reason, Verdict
from ingest.kafka.connecting import Deadline
from ingest.kafka.records import Claim, Partition, Record
from ingest.kafka.transactions import State
from ingest.store import FsspecStore
from monitoring.metrics import declare_kafka, declare_watch
from monitoring.watch.replays import Replays
from monitoring.watch.reporting import DriftReporting
from monitoring.watch.service import FollowProgress
from monitoring.watch.settings import WatchSettings
from monitoring.watch.views import Views
from tests.monitoring.decisions import VIEW, decision
from tests.monitoring.drift.synthetic_streams import darker, frames
from tests.monitoring.watch.banks_in_store import calibrated_bank, decisions, records, state_of, state_record, stored
from tests.monitoring.watch.process import HOME, HeldPartition, Process

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ingest.bank_state import BankInForce
    from ingest.decision import Decision
    from monitoring.drift.observation import Observation
    from tests.monitoring.watch.conftest import HandClock


@pytest.fixture
def bank(store: FsspecStore) -> BankInForce:
    """A bank of the line in the store."""
    return stored(store, calibrated_bank(0))


def a_few() -> Iterable[Observation]:
    """Three frames of the line."""
    return frames(np.random.default_rng(1), 3)


def knocked(bank: BankInForce) -> list[Decision]:
    """150 good frames, 50 dark ones."""
    rng = np.random.default_rng(1)
    return decisions([*frames(rng, 150), *map(darker, frames(rng, 50))], bank)


def test_a_knock_is_shown_and_logged_and_so_is_its_repair(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """The gauge of one verdict at 1, a line in the log with the words, and both gone when the line is well."""
    loop = HeldPartition(records(knocked(bank)))
    process = Process(loop, store, clock, bank)
    loop.committed = 0
    with capture_logs() as logs:
        process.until_read()
        assert process.verdicts() == ["camera_got_darker"]
        loop.log += records(decisions(frames(np.random.default_rng(2), 200), bank, first=200), first=200)
        process.until_read()
    assert process.verdicts() == []
    assert [(one["event"], one["view"], one["verdict"]) for one in logs if "verdict" in one] == [
        ("drift_noticed", VIEW, "camera got darker"),
        ("drift_over", VIEW, "camera got darker"),
    ]
    steps = [(each.kind.value, each.view, each.verdict) for each in loop.drift_events]
    assert steps == [("noticed", VIEW, "camera got darker"), ("over", VIEW, "camera got darker")]
    assert 0 < loop.drift_events[0].frames < 50
    assert process.value("patchline_drift_decisions_total") == 400
    assert process.value("patchline_drift_episodes_total") == 1
    assert process.value("patchline_drift_calibration_frames") == 200
    assert process.value("patchline_drift_distance", statistic="wasserstein") is not None
    noticed = process.value("patchline_drift_noticed_timestamp_seconds")
    assert noticed is not None
    assert 150 < noticed - knocked(bank)[0].decided_at.timestamp() < 200


def test_frames_of_another_size_are_told_with_both_sizes(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """In the event, in the log and as a verdict; what such frames score is no drift of anything."""
    rng = np.random.default_rng(1)
    usual = decisions(frames(rng, 100), bank)
    other = [
        each.model_copy(update={"verdict": Verdict.UNDECIDED, "reason": Reason.FRAME_SIZE, "size_wh_px": (320, 240)})
        for each in decisions(map(darker, frames(rng, 50)), bank, first=100)
    ]
    loop = HeldPartition(records([*usual, *other]))
    process = Process(loop, store, clock, bank)
    loop.committed = 0
    with capture_logs() as logs:
        process.until_read()
    assert process.verdicts() == ["frame_size_changed"]
    (event,) = loop.drift_events
    assert (event.verdict, event.why) == ("frame size changed", "from 64 x 64 to 320 x 240 px")
    (line,) = [one for one in logs if one["event"] == "drift_noticed"]
    assert line["detail"] == event.why


def test_a_restart_knows_what_was_known_and_counts_nothing_twice(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """The dark camera is still dark to the next process; it counts the decisions that came since, and no episode."""
    loop = HeldPartition(records(knocked(bank)))
    first = Process(loop, store, clock, bank)
    loop.committed = 0
    first.until_read()
    loop.state = State.JOINING
    loop.log += records(decisions(map(darker, frames(np.random.default_rng(2), 10)), bank, first=200), first=200)
    second = Process(loop, store, clock, bank)
    with capture_logs() as logs:
        second.until_read()
    assert [(one["event"], one["replayed"]) for one in logs if "verdict" in one] == [("drift_noticed", True)]
    assert second.verdicts() == ["camera_got_darker"]
    assert second.value("patchline_drift_decisions_total") == 10
    assert second.value("patchline_drift_episodes_total") == 0
    noticed = "patchline_drift_noticed_timestamp_seconds"
    assert second.value(noticed) == first.value(noticed)


def test_an_aborted_commit_counts_nothing_twice_and_forgets_nothing(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """The broker aborts, the partition is taken over anew and read again: same verdict; its counters begin anew."""
    loop = HeldPartition(records(knocked(bank)))
    process = Process(loop, store, clock, bank)
    loop.committed = 0
    loop.aborts = True
    process.until_read()
    assert process.verdicts() == ["camera_got_darker"]
    assert process.value("patchline_drift_decisions_total") == 0
    assert process.value("patchline_drift_episodes_total") == 0
    assert loop.committed == 200


def test_a_first_start_takes_what_is_there_for_the_past(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """Without a committed offset nothing of the past is counted; what is wrong now is shown."""
    loop = HeldPartition(records(knocked(bank)))
    process = Process(loop, store, clock, bank)
    process.until_read()
    assert process.value("patchline_drift_decisions_total") == 0
    assert process.verdicts() == ["camera_got_darker"]


def test_a_start_waits_for_no_bank_of_long_ago(store: FsspecStore, clock: HandClock, bank: BankInForce) -> None:
    """500 decisions of ten views by banks that nobody names any more: one round, and no second of waiting."""
    views = [f"line-2/camera-{number}" for number in range(10)]
    made = [
        decision(frame_id=str(number), view=views[number % 10], version=f"{number % 20:064x}") for number in range(500)
    ]
    loop = HeldPartition(records(made))
    process = Process(loop, store, clock, bank)
    process.watch.round()
    assert (loop.at, clock.seconds) == (500, 0.0)


class SlowStore(FsspecStore):
    """Answers after four seconds, by the test's clock."""

    clock: HandClock

    def get(self, path: str) -> bytes:
        """The file, late."""
        self.clock.seconds += 4
        return super().get(path)


def test_a_slow_store_delays_decisions_and_loses_neither_the_partition_nor_the_heartbeat(
    tmp_path: Path, clock: HandClock
) -> None:
    """20 views, 4 s each: the group hears from the process between, as Kafka's 30 s ask, and all are followed."""
    store = SlowStore.open(str(tmp_path / "slow"))
    store.clock = clock
    views = [f"line-2/camera-{number}" for number in range(20)]
    banks = {view: stored(store, calibrated_bank(0, view=view, count=30)) for view in views}
    loop = HeldPartition(records(one for view in views for one in decisions(a_few(), banks[view], view=view)))
    loop.committed = 0
    process = Process(loop, store, clock, banks[views[0]])
    process.calibrations.take([state_record(state_of(bank, view=view)) for view, bank in banks.items()])
    polls = [clock.seconds]
    for _ in range(40):
        clock.seconds += 1
        process.watch.round()
        polls.append(clock.seconds)
        assert process.heartbeat.silent_seconds <= 4
    assert max(np.diff(polls)) < 10
    assert loop.committed == 60
    followed = [process.registry.get_sample_value("patchline_drift_decisions_total", {"view": view}) for view in views]
    assert followed == [3] * 20


def test_what_was_read_of_a_partition_that_went_is_for_others(tmp_path: Path, clock: HandClock) -> None:
    """Decisions that waited behind a slow store when the partition was taken: another process counts them."""
    store = SlowStore.open(str(tmp_path / "slow"))
    store.clock = clock
    views = [f"line-2/camera-{number}" for number in range(4)]
    banks = {view: stored(store, calibrated_bank(0, view=view, count=30)) for view in views}
    loop = HeldPartition(records(one for view in views for one in decisions(a_few(), banks[view], view=view)))
    loop.committed = 0
    process = Process(loop, store, clock, banks[views[0]])
    process.calibrations.take([state_record(state_of(bank, view=view)) for view, bank in banks.items()])
    process.watch.round()
    assert loop.replays is not None
    loop.replays.revoked(frozenset(loop.claims))
    loop.claims, loop.at = {}, len(loop.log)
    for _ in range(3):
        process.watch.round()
    shown = generate_latest(process.registry).decode()
    assert [view for view in views if f'view="{view}"' in shown] == []


def test_a_start_reads_no_further_back_than_set(store: FsspecStore, clock: HandClock, bank: BankInForce) -> None:
    """So many offsets before the first that is not counted, and never before the beginning."""
    del store, bank
    registry = CollectorRegistry()
    settings = WatchSettings()
    reporting = DriftReporting(declare_watch(registry), declare_kafka(registry), frames_per_false_alarm=1000)
    views = Views(None, settings, clock=clock)  # type: ignore[arg-type] -- no decision is taken
    replays = Replays(views, reporting, ends=lambda: {Partition("decisions", 2): 70}, replay_decisions=50)
    partitions = {HOME: 500, Partition("decisions", 1): 20, Partition("decisions", 2): None}
    assert replays.assigned(partitions, Deadline(1)) == {
        HOME: 450,
        Partition("decisions", 1): 0,
        Partition("decisions", 2): 20,
    }


def test_a_record_that_is_no_decision_is_logged_and_passed_over(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """One broken record must not stop the watching of every view."""
    good = records(knocked(bank))
    broken = Record("decisions", 0, 0, 0, "create_time", b"line-1/top", b"{}")
    loop = HeldPartition([broken, *records(knocked(bank), first=1)])
    assert len(loop.log) == len(good) + 1
    process = Process(loop, store, clock, bank)
    loop.committed = 0
    process.until_read()
    assert (
        process.registry.get_sample_value(
            "patchline_drift_decisions_skipped_total", {"view": "", "reason": "unreadable"}
        )
        == 1
    )
    assert process.value("patchline_drift_decisions_total") == 200


def test_a_bank_without_calibration_ends_the_episode_and_its_numbers(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """The end is in the log with its reason, and no gauge keeps what was true under the bank before."""
    unknown = decision(frame_id="next-0", version="f" * 64)
    loop = HeldPartition(records(knocked(bank)))
    loop.committed = 0
    process = Process(loop, store, clock, bank)
    gauges = ["evidence_ratio", "reject_ratio", "calibration_reject_ratio", "calibration_frames"]
    with capture_logs() as logs:
        process.until_read()
        assert None not in [process.value(f"patchline_drift_{gauge}") for gauge in gauges]
        assert process.value("patchline_drift_distance", statistic="psi") is not None
        loop.log += records([unknown], first=200)
        process.until_read()
    ended = [(one["verdict"], one["why"]) for one in logs if one["event"] == "drift_over"]
    assert ended == [("camera got darker", "no calibration")]
    assert [process.value(f"patchline_drift_{gauge}") for gauge in gauges] == [None] * 4
    assert process.value("patchline_drift_distance", statistic="psi") is None
    assert process.verdicts() == []


def test_a_view_that_others_follow_now_leaves_no_series(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """A verdict of yesterday's owner would stand beside that of today's."""
    loop = HeldPartition(records(knocked(bank)))
    process = Process(loop, store, clock, bank)
    process.until_read()
    assert loop.replays is not None
    loop.replays.revoked(frozenset([HOME]))
    assert [line for line in generate_latest(process.registry).decode().splitlines() if VIEW in line] == []


def test_what_was_followed_is_committed_before_the_end(store: FsspecStore, clock: HandClock, bank: BankInForce) -> None:
    """A good stop leaves nothing for the next process to count."""
    loop = HeldPartition(records(knocked(bank)))
    process = Process(loop, store, clock, bank)
    loop.committed = 0
    stop = Event()
    process.watch.round()
    stop.set()
    process.watch.run(until=stop)
    assert loop.committed == 200


@pytest.mark.slow
def test_a_lasting_change_requests_a_new_bank_once_where_that_is_wanted(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """In the transaction of the decision that makes it last so long: a restart reads it again and asks for nothing."""
    log = records(knocked(bank))
    rebuilding = {"rebuild_on": ["camera_got_darker"], "rebuild_after_frames": 30}
    for more, written in (({}, 0), ({**rebuilding, "rebuild_on": ["product_changed"]}, 0), (rebuilding, 1)):
        loop = HeldPartition(log)
        loop.committed = 0
        Process(loop, store, clock, bank, **more).until_read()
        assert len(loop.commands) == written
        loop.state = State.JOINING
        Process(loop, store, clock, bank, **more).until_read()
        assert len(loop.commands) == written
    command = Command.from_bytes(loop.commands[0].value or b"")
    assert (loop.commands[0].topic, loop.commands[0].key) == ("commands", VIEW.encode())
    assert (command.kind, command.view, command.who) == (CommandKind.REBUILD, VIEW, "drift")
    assert command.why == "camera got darker: noticed 30 frames ago"


def test_a_command_that_an_abort_took_back_is_written_after_it(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """The decision that asks comes back with the partition; it was counted, and still it asks, once."""
    loop = HeldPartition(records(knocked(bank)))
    loop.committed, loop.aborts = 0, True
    process = Process(loop, store, clock, bank, rebuild_on=["camera_got_darker"], rebuild_after_frames=30)
    process.until_read()
    assert (loop.aborts, loop.committed, len(loop.commands)) == (False, 200, 1)
    assert Command.from_bytes(loop.commands[0].value or b"").kind is CommandKind.REBUILD


def test_it_is_ready_with_a_place_in_the_group() -> None:
    """And says before that what it waits for."""
    loop = HeldPartition([])
    progress = FollowProgress()
    assert progress.readiness().sentence == "Not ready: waiting for a broker, then for what `banks` says."
    progress.loop = loop
    assert progress.readiness().sentence == "Not ready: joining the consumer group."
    loop.state, loop.claims = State.OWNING, {HOME: Claim(HOME, 1)}
    assert progress.readiness().ready
    assert progress.readiness().sentence == "Ready: 1 partitions of decisions are followed."
    loop.taken_over = "Instance id '0' was taken over from process 7 on pc-4 (10.0.0.4)."
    assert progress.readiness().sentence == (
        "Ready: 1 partitions of decisions are followed. "
        "Instance id '0' was taken over from process 7 on pc-4 (10.0.0.4)."
    )


@pytest.mark.process
def test_promtool_finds_no_fault_in_its_page(store: FsspecStore, clock: HandClock, bank: BankInForce) -> None:
    """Prometheus' own linter passes what the running service shows."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    process = Process(HeldPartition(records(knocked(bank))), store, clock, bank)
    process.until_read()
    page = generate_latest(process.registry)
    assert b'patchline_drift_verdict{verdict="camera_got_darker"' in page
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
