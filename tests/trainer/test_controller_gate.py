"""Builds that the gate examines, through the whole trainer but for Kafka."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ingest.bank_state import ViewState
from ingest.store_layout import gate_folder
from softpatch.gate.measures import GateMeasures
from tests.trainer.fake_builds import TRAINING, BuildingTrainer
from tests.trainer.views import VIEW
from trainer.gate_record import record_sha256

FINE = GateMeasures(frames=6, noise_estimate=0.0, coverage=1.0)
CHURN = FINE.model_copy(update={"verdict_churn": 0.4, "examples": {"verdict_churn": ["0-3"]}})
if TYPE_CHECKING:
    from pathlib import Path

TIMES = [f"2026-05-04T{hour:02}:00:00.000+00:00" for hour in range(12, 24)]


@pytest.fixture
def trainer(tmp_path: Path) -> BuildingTrainer:
    """A view with a first bank."""
    trainer = BuildingTrainer(tmp_path)
    trainer.send_frames(6)
    trainer.finish_build(TIMES[0], measures=FINE)
    return trainer


def test_a_build_is_ordered_with_what_it_is_held_against(trainer: BuildingTrainer) -> None:
    """The first has nothing; the second the bank in force with its threshold; a pinned one, too."""
    assert trainer.started[0].order.gate is not None
    assert trainer.started[0].order.gate.parent_threshold is None
    trainer.command("pin", "c-1")
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    gate, active = trainer.started[1].order.gate, trainer.states[-1].active
    assert gate is not None
    assert active is not None
    assert (gate.parent_threshold, gate.reference, gate.quarantine_frames) == (active.threshold, active.version, 4)


def test_no_measures_are_ordered_where_the_gate_is_off(tmp_path: Path) -> None:
    """The build has less to do."""
    training = TRAINING.model_copy(update={"gate": TRAINING.gate.model_copy(update={"enabled": False})})
    trainer = BuildingTrainer(tmp_path, training)
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    assert trainer.started[0].order.gate is None


def test_a_refused_bank_is_told_of_everywhere(trainer: BuildingTrainer) -> None:
    """Event, metrics and a record whose hash the event has; the next build comes by its schedule."""
    trainer.send_frames(10)
    trainer.finish_build(TIMES[1], measures=CHURN)
    before, after = trainer.states[-2:]
    assert (after.active, after.candidate, after.epoch) == (before.active, None, before.epoch + 1)
    assert trainer.kinds == ["built", "promoted", "built", "refused"]
    metrics = trainer.collecting.metrics
    assert metrics.builds.labels(view=VIEW, verdict="refused")._value.get() == 1
    assert metrics.gate_refusals.labels(view=VIEW, bound="verdict_churn")._value.get() == 1
    assert metrics.gate_measure.labels(view=VIEW, bound="verdict_churn")._value.get() == 0.4
    store = trainer.collecting.store
    first, second = (store.get(path) for path in sorted(store.paths(gate_folder(VIEW)), key=lambda p: p[-20:]))
    refused = trainer.whole_events[-1]
    records = {record_sha256(each): json.loads(each) for each in (first, second)}
    record = records[str(refused.facts["gate_record_sha256"])]
    assert (record["passed"], record["bank"]) == (False, refused.bank_version)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 2


def test_a_refused_bank_can_be_put_in_force_by_a_person(trainer: BuildingTrainer) -> None:
    """Its file is kept, as any of the newest."""
    trainer.send_frames(10)
    trainer.finish_build(TIMES[1], measures=CHURN)
    trainer.command("promote", "c-1", bank_version=trainer.whole_events[-1].bank_version)
    assert trainer.kinds[-1] == "promoted"
    assert trainer.states[-1].active is not None
    assert trainer.states[-1].active.version == trainer.whole_events[-1].bank_version


def test_a_changed_line_is_held_its_frames_leave_the_window_and_a_person_decides(trainer: BuildingTrainer) -> None:
    """What failed is not learnt later, either; frames pass the window by until the view is released."""
    trainer.send_frames(10)
    failing = [f"0-{offset}" for offset in range(6, 16)]
    changed = FINE.model_copy(update={"line_changed": 0.7, "failing": failing})
    trainer.finish_build(TIMES[1], measures=changed)
    assert trainer.states[-1].state is ViewState.HELD
    assert trainer.kinds[-2:] == ["refused", "held"]
    view = trainer.collecting.views.get(VIEW)
    assert view is not None
    assert [frame.frame_id for frame in view.index.frames] == [f"0-{offset}" for offset in range(6)]
    trainer.send_frames(12)
    assert len(view.index.frames) == 6
    trainer.controller.follow_builds()
    assert len(trainer.started) == 2
    trainer.command("release", "c-1")
    assert (trainer.kinds[-1], trainer.states[-1].state) == ("released", ViewState.ACTIVE)
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 3


def test_old_records_go(trainer: BuildingTrainer) -> None:
    """The newest three stay, as this trainer's settings say."""
    for number in range(1, 5):
        trainer.send_frames(10) if number < 4 else trainer.send_frames(4)
        trainer.command("rebuild", f"c-{number}")
        trainer.finish_build(TIMES[number], measures=FINE)
    assert len(trainer.collecting.store.paths(gate_folder(VIEW))) == 3


def test_hold_release_unpin_and_cancel_are_words_of_people(trainer: BuildingTrainer) -> None:
    """A hold stops the running build; a cancelled one comes again by its schedule."""
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    trainer.command("cancel_build", "c-1")
    assert trainer.started[-1].killed
    assert trainer.kinds[-2:] == ["build_cancelled", "build_failed"]
    assert trainer.whole_events[-1].facts["stopped"] is True
    trainer.controller.follow_builds()
    assert len(trainer.started) == 2
    trainer.command("cancel_build", "c-2")
    assert trainer.events[-1][2] == "no build of it runs or was asked for"
    trainer.command("rebuild", "c-3")
    trainer.controller.follow_builds()
    trainer.command("hold", "c-4")
    assert trainer.started[-1].killed
    assert trainer.states[-1].state is ViewState.HELD
    trainer.command("hold", "c-5")
    assert trainer.events[-1][2] == "it is held already, by ana: to see"
    trainer.command("release", "c-6")
    trainer.command("release", "c-7")
    assert trainer.events[-1][2] == "it is not held, it is active"
    trainer.command("pin", "c-8")
    trainer.command("unpin", "c-9")
    assert (trainer.kinds[-1], trainer.states[-1].pinned) == ("unpinned", None)
    trainer.command("unpin", "c-10")
    assert trainer.events[-1][2] == "no bank is pinned"
