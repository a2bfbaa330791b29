"""A bank in shadow: what is counted of it, and when it comes into force, is refused, or waits for a person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest.bank_state import ViewState
from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, Verdict, VerdictInForce, decision_id
from ingest.kafka.records import Record
from softpatch.gate.measures import GateMeasures
from tests.trainer.fake_builds import TRAINING, BuildingTrainer
from tests.trainer.views import AT, VIEW
from trainer.shadow import ShadowTally

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.settings import PromotionPolicy

FINE = GateMeasures(frames=6, noise_estimate=0.0, coverage=1.0)
PASS, FAIL = Verdict.PASS, Verdict.FAIL
TRIED = "c" * 64


def decision(number: int, live: Verdict, tried: Verdict, *, version: str = TRIED) -> Decision:
    """What a bank in shadow made of a frame that the bank in force decided so."""
    return Decision(
        id=decision_id(VIEW, f"f{number}"),
        view=VIEW,
        frame_id=f"f{number}",
        source=SourceRecord(topic="frames", partition=0, offset=number),
        verdict=tried,
        score=1.0,
        threshold=2.0,
        score_ratio=0.5,
        bank=BankRef(version=version, epoch=3),
        appended_at=AT,
        decided_at=AT,
        in_force=VerdictInForce(verdict=live, score_ratio=0.4, bank=BankRef(version="a" * 64, epoch=3)),
    )


def test_a_tally_counts_what_is_decided_otherwise_in_both_directions() -> None:
    """With the first frames of it; a decision of another bank does not count, nor one beside no bank in force."""
    tally = ShadowTally(TRIED)
    for number, (live, tried) in enumerate([(PASS, PASS), (PASS, FAIL), (FAIL, PASS), (FAIL, FAIL)]):
        tally = tally.after(decision(number, live, tried))
    tally = tally.after(decision(9, PASS, FAIL, version="d" * 64))
    tally = tally.after(decision(9, PASS, FAIL).model_copy(update={"in_force": None}))
    assert (tally.frames, tally.now_fail, tally.now_pass) == (4, 1, 1)
    assert (tally.examples, tally.flip_ratio) == (("f1", "f2"), 0.5)


class TryingTrainer(BuildingTrainer):
    """A view with a bank in force and a second one in shadow, of which 20 frames are asked and a tenth may flip."""

    def __init__(self, folder: Path, promotion: PromotionPolicy) -> None:
        asked = {"promotion": promotion, "shadow_frames": 20, "shadow_hours": 24.0, "shadow_flip_ratio": 0.1}
        super().__init__(folder, TRAINING.model_copy(update=asked))
        self.send_frames(6)
        self.finish_build("2026-05-04T12:00:00+00:00", measures=FINE)
        self.send_frames(10)
        self.finish_build("2026-05-04T13:00:00+00:00", measures=FINE)
        shadow = self.states[-1].shadow
        assert shadow is not None
        self.tried = shadow
        self.scored = 0

    def scores(self, frames: int, flips: int = 0) -> None:
        """The bank in shadow scores so many frames, the first of them otherwise."""
        for number in range(frames):
            made = decision(self.scored, PASS, FAIL if number < flips else PASS, version=self.tried.version)
            self.shadow_topic.records.append(
                Record("decisions.shadow", 0, self.scored, 0, "create_time", VIEW.encode(), made.to_bytes(), ())
            )
            self.scored += 1
        self.shadow_watch.follow()


def test_a_bank_that_was_tried_for_long_enough_comes_into_force(tmp_path: Path) -> None:
    """By itself, with what it was tried on; one frame less, and it waits."""
    trainer = TryingTrainer(tmp_path, "after_shadow")
    assert trainer.kinds[-2:] == ["built", "gated"]
    trainer.scores(19, flips=1)
    assert trainer.states[-1].shadow is not None
    trainer.scores(1)
    after = trainer.states[-1]
    assert (after.active, after.shadow, after.candidate, after.shadow_since) == (trainer.tried, None, None, None)
    event = trainer.whole_events[-1]
    assert (event.kind.value, event.who) == ("promoted", "trainer")
    assert (event.facts["shadow_frames"], event.facts["now_fail"], event.facts["examples"]) == (20, 1, "f0")
    trainer.scores(30, flips=30)
    assert trainer.kinds[-1] == "promoted"


def test_a_bank_that_decides_too_much_otherwise_is_refused(tmp_path: Path) -> None:
    """The bank in force goes on; event and metric name the bound, and frames to look at."""
    trainer = TryingTrainer(tmp_path, "after_shadow")
    in_force = trainer.states[-1].active
    trainer.scores(20, flips=3)
    after = trainer.states[-1]
    assert (after.active, after.shadow, after.candidate) == (in_force, None, None)
    assert after.refused is not None
    assert after.refused.version == trainer.tried.version
    event = trainer.whole_events[-1]
    assert event.kind.value == "refused"
    assert (event.facts["bounds"], event.facts["shadow_flips"], event.facts["shadow_flips_limit"]) == (
        "shadow_flips",
        0.15,
        0.1,
    )
    assert event.why.startswith("in shadow it decided 15 % of 20 frames otherwise than the bank in force, 10 % may")
    metrics = trainer.collecting.metrics
    assert metrics.gate_refusals.labels(view=VIEW, bound="shadow_flips")._value.get() == 1


def test_after_its_hours_fewer_frames_are_enough_but_not_none(tmp_path: Path) -> None:
    """An idle weekend puts no bank in force that nobody has tried."""
    trainer = TryingTrainer(tmp_path, "after_shadow")
    trainer.now = AT + timedelta(hours=24)
    trainer.shadow_watch.follow()
    assert trainer.states[-1].shadow is not None
    trainer.scores(3)
    assert trainer.states[-1].active == trainer.tried


def test_a_person_may_be_the_one_to_decide(tmp_path: Path) -> None:
    """However long it was tried; `promote` of the candidate ends it."""
    trainer = TryingTrainer(tmp_path, "by_person")
    trainer.scores(50)
    assert trainer.states[-1].shadow is not None
    trainer.command("promote", "c-1", bank_version=trainer.tried.version)
    after = trainer.states[-1]
    assert after.active is not None
    assert (after.active.version, after.shadow, after.candidate) == (trainer.tried.version, None, None)


@pytest.mark.parametrize("command", ["hold", "relearn", "rollback"])
def test_what_a_person_decides_ends_or_stops_a_trial(tmp_path: Path, command: str) -> None:
    """A held view promotes nothing; a bank from before another decision is tried no longer."""
    trainer = TryingTrainer(tmp_path, "after_shadow")
    if command == "rollback":
        trainer.command("promote", "c-0", bank_version=trainer.tried.version)
    trainer.command(command, "c-1")
    before = len(trainer.states)
    trainer.scores(50)
    assert len(trainer.states) == before
    assert (trainer.states[-1].shadow is not None) is (command == "hold")
    assert trainer.states[-1].state is not ViewState.PROVISIONAL
