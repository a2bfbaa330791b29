"""The trainer against a real Apache Kafka, as a process that can be killed and paused."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingest.bank_event import BankEventKind
from ingest.bank_state import ViewState
from ingest.command import Command
from ingest.contract import SourceRecord
from ingest.store import FsspecStore
from softpatch.bank import Bank, bank_from_bytes, bank_version
from tests.trainer.annotated import word
from tests.trainer.kafka_line import QUICK, SMALL, VIEW, Line, picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.bank_state import BankInForce
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def line(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Line]:
    """A line without a trainer; short timeouts, so that a silent trainer is missed soon."""
    kafka = kafka_broker.settings(
        session_timeout_seconds=3, transaction_timeout_seconds=3, rebalance_timeout_seconds=10, partitions=2
    )
    line = Line.laid(kafka, tmp_path / "store")
    yield line
    line.close()


def command(kind: str, identity: str, **fields: object) -> Command:
    """A command of Ana's."""
    whole: dict[str, Any] = {
        "id": identity,
        "view": VIEW,
        "kind": kind,
        "who": "ana",
        "why": "to see",
        "at": datetime.now(UTC),
    }
    return Command.model_validate(whole | fields)


def loaded(line: Line, bank: BankInForce | None) -> Bank:
    """The bank in the store that a state names, its version checked."""
    assert bank is not None
    data = FsspecStore.open(str(line.store)).get(bank.uri)
    assert bank_version(data) == bank.version
    return bank_from_bytes(data)


def kinds(line: Line) -> list[str]:
    """What happened, in order."""
    return [event.kind.value for event in line.events()]


@pytest.mark.slow
def test_a_view_learns_rebuilds_and_goes_back_by_command(line: Line) -> None:
    """Learning at once; the first bank from exactly the first frames; the second after more; then a rollback."""
    line.trainer()
    line.send(11)
    line.until(lambda: [state.state for state in line.states()] == [ViewState.LEARNING])
    line.send(1)
    line.until(lambda: len(line.states()) == 2)
    first = line.states()[1]
    bank = loaded(line, first.active)
    assert (first.epoch, first.previous) == (1, None)
    assert bank.manifest.parent is None
    assert bank.manifest.frame_names == [f"{line.window().home}-{offset}" for offset in range(12)]
    assert bank.manifest.provenance["frames"] == {
        name: [line.window().home, offset] for offset, name in enumerate(bank.manifest.frame_names)
    }
    assert kinds(line) == ["built", "promoted"]

    line.send(10)
    line.until(lambda: len(line.states()) == 3)
    second = line.states()[2]
    assert (second.epoch, second.state, second.previous) == (2, ViewState.PROVISIONAL, first.active)
    assert loaded(line, second.active).manifest.parent == bank_version_of(first.active)

    line.command(command("rollback", "c-1"))
    line.command(command("promote", "c-2", bank_version="e" * 64))
    line.until(lambda: len(line.states()) == 5)
    third, fourth = line.states()[3:]
    assert (third.active, third.previous, third.by) == (first.active, second.active, "ana")
    assert fourth.active == first.active
    assert [(event.kind.value, event.command_id) for event in line.events()[4:]] == [
        ("rolled_back", "c-1"),
        ("command_refused", "c-2"),
    ]


def bank_version_of(bank: BankInForce | None) -> str | None:
    """Its version."""
    return bank.version if bank else None


@pytest.mark.slow
def test_a_restart_resumes_without_doubled_frames_and_without_doing_commands_again(line: Line) -> None:
    """Kill -9 in the midst of collecting: every frame is in the window once, and the state goes on where it was."""
    line.send(5)
    line.send_bytes([b"no image"])
    line.send(9)
    first = line.trainer()
    line.until(lambda: len(line.states()) == 2)
    line.command(command("pin", "c-1"))
    line.until(lambda: kinds(line)[2:] == ["pinned"])
    first.end(signal.SIGKILL)
    line.send(10)
    line.trainer()
    line.until(lambda: len(line.states()) == 4)
    held = [(frame.partition, frame.offset) for frame in line.window().frames]
    home = line.window().home
    assert held[:14] == [(home, offset) for offset in range(15) if offset != 5]
    assert len(set(held)) == len(held)
    manifest = loaded(line, line.states()[3].active).manifest
    assert len(set(manifest.frame_names)) == len(manifest.frame_names) == 24
    assert [state.epoch for state in line.states()] == [0, 1, 2, 3]
    assert kinds(line) == ["built", "promoted", "pinned", "built", "promoted"]
    files = {path for path in FsspecStore.open(str(line.store)).paths("windows") if path.endswith(".frame")}
    line.until(lambda: {path.rsplit("/", 1)[1] for path in files} >= {frame.name for frame in line.window().frames})


@pytest.mark.slow
def test_a_build_that_dies_is_an_event_and_is_tried_again(line: Line) -> None:
    """Kill -9 of the build alone: the view stays in learning, the event says why; after more frames it builds."""
    trainer = line.trainer()
    line.send(12)
    line.until(lambda: bool(trainer.children()))
    os.kill(trainer.children()[0], signal.SIGKILL)
    line.until(lambda: kinds(line) == ["build_failed"])
    (event,) = line.events()
    assert (event.epoch, event.who) == (0, "trainer")
    assert event.why.startswith("the build process was killed by SIGKILL")
    assert [state.state for state in line.states()] == [ViewState.LEARNING]
    line.send(12)
    line.until(lambda: kinds(line) == ["build_failed", "built", "promoted"])


@pytest.mark.slow
def test_a_build_by_command_that_takes_too_long_fails_with_the_commands_id(line: Line) -> None:
    """The person who asked learns it from the event."""
    line.trainer(
        QUICK.model_copy(update={"build_timeout_seconds": 0.05}), SMALL.model_copy(update={"first_build_frames": 40})
    )
    line.send(12)
    line.until(lambda: len(line.states()) == 1)
    line.until(lambda: len(line.window().frames) == 12)
    line.command(command("rebuild", "c-1"))
    line.until(lambda: kinds(line) == ["build_failed"])
    (event,) = line.events()
    assert (event.command_id, event.who, event.kind) == ("c-1", "ana", BankEventKind.BUILD_FAILED)
    assert event.why == "the build took longer than build_timeout_seconds, 0.05 s"


@pytest.mark.slow
def test_a_trainer_that_was_away_publishes_nothing_stale(line: Line) -> None:
    """Paused beyond the session timeout while another one takes over: the states have one epoch after the other."""
    first = line.trainer(instance="0")
    line.send(12)
    line.until(lambda: len(line.states()) == 2)
    line.until(lambda: line.window().last_build is not None)
    first.send(signal.SIGSTOP)
    line.trainer(instance="1")
    line.send(10)
    line.until(lambda: len(line.states()) == 3)
    line.command(command("rollback", "c-1"))
    line.until(lambda: len(line.states()) == 4)
    first.send(signal.SIGCONT)
    line.send(12)
    line.until(lambda: len(line.states()) == 5, seconds=90)
    assert [state.epoch for state in line.states()] == [0, 1, 2, 3, 4]
    assert [event.why for event in line.events() if event.kind is BankEventKind.BUILD_FAILED] == []
    assert kinds(line) == ["built", "promoted", "built", "promoted", "rolled_back", "built", "promoted"]
    line.until(lambda: "partitions_dropped" in line.logged("0"))


@pytest.mark.slow
def test_a_second_trainer_takes_half_of_the_views_and_goes_on_where_the_first_was(line: Line) -> None:
    """Both learn, each its own; nobody's frames are read twice into a window, and each state has one writer."""
    other = next(view for view in (f"line-2/camera-{n}" for n in range(20)) if line.send(1, view=view) != line.send(1))
    line.send(9)
    line.send(8, view=other)
    line.trainer(instance="0")
    line.until(lambda: {state.view for state in line.states()} >= {VIEW, other})
    line.until(lambda: line.window(other).seen == 9)
    line.trainer(instance="1")
    line.until(lambda: "partitions_dropped" in line.logged("0"))
    line.until(lambda: "partitions_settled" in line.logged("1"))
    line.send(20)
    line.send(20, view=other)
    line.until(lambda: {event.view for event in line.events() if event.kind is BankEventKind.PROMOTED} == {VIEW, other})
    for view in (VIEW, other):
        epochs = [state.epoch for state in line.states() if state.view == view]
        assert epochs == list(range(len(epochs)))
        line.until(lambda: line.window(view).seen >= 29)  # noqa: B023 -- called before the next view
        numbers = [frame.number for frame in line.window(view).frames]
        assert numbers == list(range(len(numbers)))
    assert sorted([_promoters(line, VIEW), _promoters(line, other)]) == [["0"], ["1"]]


@pytest.mark.slow
def test_a_group_is_asked_about_answered_and_in_the_next_bank(line: Line) -> None:
    """Group, question, word, build ahead of its time, label in force; then a word on one frame, and its undoing."""
    training = SMALL.model_copy(update={"first_build_frames": 24, "rebuild_every_frames": 1000})
    line.trainer(training=training)
    partition = line.send_bytes([picture(number, marked=number % 6 == 1) for number in range(24)])
    line.until(lambda: kinds(line) == ["built", "promoted", "group_found"])
    (asked,) = line.states()[-1].open_groups
    assert {each.frame_id for each in asked.exemplars} == {f"{partition}-{number}" for number in (1, 7, 13, 19)}
    stored = FsspecStore.open(str(line.store))
    assert stored.get(asked.exemplars[0].path) in {picture(number, marked=True) for number in (1, 7, 13, 19)}

    line.word(word("group_defect", id="w-1", annotation=asked.id))
    line.until(lambda: kinds(line)[3:] == ["labelled", "built", "promoted"])
    assert [(event.command_id, event.who) for event in line.events()[3:]] == [("w-1", "ana")] * 3
    (known,) = loaded(line, line.states()[-1].active).manifest.groups
    assert (known.id, known.label, known.is_new) == (asked.id, "defect", False)
    assert [(each.id, each.label.value) for each in line.states()[-1].annotations] == [(asked.id, "defect")]

    place = SourceRecord(topic=line.kafka.topic("frames"), partition=partition, offset=2)
    line.word(word("false_reject", id="w-2", source=place))
    line.word(word("bad", id="w-3", source=place.model_copy(update={"offset": 9999})))
    line.until(lambda: "feedback_refused" in kinds(line) and kinds(line)[-1] == "promoted")
    kept = next(each for each in line.states()[-1].annotations if each.id == "w-2")
    assert stored.get(kept.exemplars[0].path) == picture(2)
    line.word(word("undo", id="w-4", annotation="w-2"))
    line.until(lambda: "label_removed" in kinds(line))
    line.until(lambda: not stored.exists(kept.exemplars[0].path))


@pytest.mark.slow
def test_a_store_that_is_gone_is_filled_again_from_kafka(line: Line) -> None:
    """Its folder is removed in mid-run: one event, and a bank from the frames that were read before."""
    line.trainer(QUICK.model_copy(update={"lost_check_seconds": 0.5}))
    line.send(12)
    line.until(lambda: len(line.states()) == 2 and line.window().last_build is not None)
    lost = line.states()[-1].active
    shutil.rmtree(line.store)
    line.until(lambda: kinds(line) == ["built", "promoted", "bank_lost", "built", "promoted"])
    after = line.states()[-1]
    assert lost is not None
    assert (line.events()[2].bank_version, after.state) == (lost.version, ViewState.PROVISIONAL)
    assert loaded(line, after.active).manifest.frame_names == [f"{line.window().home}-{offset}" for offset in range(12)]
    line.send(12)
    line.until(lambda: kinds(line)[5:] == ["built", "promoted"])
    assert len(line.window().frames) == 24


def _promoters(line: Line, view: str) -> list[str]:
    """The trainers that logged a promotion of the view."""
    logged = {
        instance: [each for each in line.logged(instance).splitlines() if "promoted" in each and view in each]
        for instance in ("0", "1")
    }
    return [instance for instance, lines in logged.items() if lines]


@pytest.mark.slow
def test_three_trainers_share_thirty_views_and_one_is_killed(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """Nothing is learnt twice or lost: the views of the one that died go on, with their windows, at the other two."""
    kafka = kafka_broker.settings(
        session_timeout_seconds=6, transaction_timeout_seconds=6, rebalance_timeout_seconds=20, partitions=6
    )
    line = Line.laid(kafka, tmp_path / "store")
    views = [f"line-{number}/camera-1" for number in range(30)]
    try:
        trainers = [line.trainer(instance=str(number)) for number in range(3)]
        for view in views:
            line.send(6, view=view)
        line.until(lambda: len({state.view for state in line.states()}) == 30, seconds=180)
        trainers[0].end(signal.SIGKILL)
        for view in views:
            line.send(6, view=view)
        built = lambda: {event.view for event in line.events() if event.kind is BankEventKind.PROMOTED}  # noqa: E731
        line.until(lambda: built() == set(views), seconds=400)
        for trainer in trainers[1:]:
            assert trainer.end() == 0
        for view in views:
            window = line.window(view)
            offsets = [frame.offset for frame in window.frames]
            assert (window.seen, len(offsets), len(set(offsets))) == (12, 12, 12), view
            promoted = [event for event in line.events() if (event.view, event.kind.value) == (view, "promoted")]
            assert len(promoted) == 1, view
            epochs = [state.epoch for state in line.states() if state.view == view]
            assert epochs == sorted(set(epochs)), view
    finally:
        line.close()
