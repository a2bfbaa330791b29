"""Decisions of the inspection, made again from their records: all the same, and every change told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.history.replay import Replay, ReplayedFrame, as_recorded, same_score
from inference.banks import Serving
from inference.decide import NoBank
from ingest.decision import Decision, Reason, Verdict
from tests.inference.sample_bank import AT, VIEW, encoded, jpeg, record, state, state_record
from tests.inference.test_inspector import INSPECTION, Bench
from tests.inference.test_shadow import lenient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inference.banks import BankStatus
    from ingest.kafka.records import Record
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder

BLACK = encoded(np.zeros((96, 96, 3), np.uint8), ".png")


@pytest.fixture(scope="module")
def embedder() -> OnnxEmbedder:
    """The built-in network on one thread."""
    from softpatch.network.embed import OnnxEmbedder  # noqa: PLC0415 -- loading it takes a second
    from softpatch.network.graph import lite0  # noqa: PLC0415

    return OnnxEmbedder.open(lite0(), provider="cpu", threads=1)


@pytest.fixture(scope="module")
def bank(embedder: OnnxEmbedder) -> Bank:
    """The bank of eight plates."""
    from tests.inference.sample_bank import sample_bank  # noqa: PLC0415 -- as above

    return sample_bank(embedder)


@pytest.fixture
def line(tmp_path: Path, embedder: OnnxEmbedder, bank: Bank) -> Iterator[Line]:
    """A view with a bank in force, and what was decided of twelve frames."""
    opened = Line(tmp_path, embedder, bank)
    yield opened
    opened.bench.close()


class Line:
    """Good plates, a scratched one, a black picture, a late frame, a repeated id, and a frozen camera."""

    def __init__(self, folder: Path, embedder: OnnxEmbedder, bank: Bank) -> None:
        from ingest.store import FsspecStore  # noqa: PLC0415 -- as above

        self.bench = Bench(FsspecStore.open(str(folder / "store")), embedder)
        self.bank = bank
        self.bench.put_in_force(bank, epoch=3)
        pictures = [jpeg(1), jpeg(2, defect=True), BLACK, jpeg(3), jpeg(4), *[jpeg(5)] * 12]
        self.records: list[Record] = [record(n, each, at=AT) for n, each in enumerate(pictures)]
        self.decisions: list[Decision] = []
        for each in self.records:
            self.bench.now = AT + timedelta(seconds=9 if each.offset == 3 else 0.5)
            self.decisions += self.bench.decisions(each)

    @property
    def recorded(self) -> dict[int, Decision]:
        """By offset."""
        return {each.source.offset: each for each in self.decisions}

    def again(
        self, recorded: dict[int, Decision], *, first: int = 0, tried: BankStatus | None = None
    ) -> list[ReplayedFrame]:
        """Decided by the bank of then, or by another one."""
        serving = self.bench.banks.status(VIEW)
        assert isinstance(serving, Serving)

        def serving_of(decision: Decision) -> BankStatus:
            if tried is not None:
                return tried
            return (
                NoBank(Reason.LEARNING)
                if decision.bank is None
                else as_recorded(serving, decision, band=None, epoch=decision.bank.epoch)
            )

        replay = Replay(
            self.bench.inspector._scoring,
            first_topic="frames",
            serving_of=serving_of,
            inspection_of=lambda _: INSPECTION,
            clock=lambda: 0.0,
            what_if=tried is not None,
        )
        return list(replay.frames(self.records, recorded, first=first))


def test_every_decision_comes_out_as_it_was(line: Line) -> None:
    """A pass, a fail, an input fault, a late frame, frozen ones: verdict, reason, score, what earlier frames show."""
    reasons = [each.reason for each in line.decisions]
    assert reasons[2:4] == [Reason.INPUT_FAULT, Reason.DEADLINE]
    assert reasons[-1] is Reason.INPUT_FAULT
    assert line.decisions[1].verdict is Verdict.FAIL
    replayed = line.again(line.recorded)
    assert len(replayed) == len(line.decisions)
    assert [each for each in replayed if each.differences] == []


def test_frames_before_the_first_are_inspected_along(line: Line) -> None:
    """Whether the last frame is frozen depends on the ten before it."""
    (last,) = line.again(line.recorded, first=len(line.records) - 1)
    assert last.recorded.source.offset == len(line.records) - 1
    assert last.differences == ()


def test_a_frame_that_was_decided_before_there_was_a_bank_comes_out_so(line: Line) -> None:
    """Learning is reproduced, too."""
    line.bench.banks.take([state_record(state(None, epoch=4))])
    (learning,) = line.bench.decisions(replace(line.records[0], offset=99))
    assert learning.reason is Reason.LEARNING
    line.records = [line.records[-1], replace(line.records[0], offset=99)]
    line.bench.put_in_force(line.bank, epoch=5)
    (replayed,) = line.again({**line.recorded, 99: learning}, first=99)
    assert replayed.differences == ()


@pytest.mark.parametrize(("factor", "differs"), [(1 + 0.5e-4, False), (1 + 2e-4, True)])
def test_a_score_may_differ_by_a_ten_thousandth(line: Line, factor: float, *, differs: bool) -> None:
    """Relative to what was recorded; more is told."""
    score = line.decisions[0].score
    assert score is not None
    changed = line.decisions[0].model_copy(update={"score": score * factor})
    (replayed,) = line.again({0: changed})
    assert [each.field for each in replayed.differences] == (["score"] if differs else [])


def test_every_field_that_differs_is_told(line: Line) -> None:
    """With what was recorded and what comes out now."""
    changed = line.decisions[0].model_copy(
        update={"verdict": Verdict.FAIL, "change_bits": 7, "difference_hash": "0" * 16}
    )
    (replayed,) = line.again({0: changed})
    assert [each.field for each in replayed.differences] == ["verdict", "difference_hash", "change_bits"]
    assert str(replayed.differences[0]) == "verdict fail is pass"


def test_an_inspection_that_had_just_started_knew_of_no_frame_before(line: Line) -> None:
    """What it could not compare is no difference; what it compared otherwise is."""
    assert line.decisions[1].change_bits is not None
    started, other = (line.decisions[1].model_copy(update={"change_bits": bits}) for bits in (None, 60))
    assert [each.differences for each in line.again({**line.recorded, 1: started})[1:2]] == [()]
    assert [each.field for each in line.again({**line.recorded, 1: other})[1].differences] == ["change_bits"]


def test_another_bank_is_the_what_if(line: Line, bank: Bank) -> None:
    """With ten times the threshold the scratch passes; thresholds and scores are expected to differ."""
    serving = line.bench.banks.status(VIEW)
    assert isinstance(serving, Serving)
    threshold = lenient(bank).manifest.threshold.value
    limits = replace(serving.in_force.limits, threshold=threshold, low=threshold, high=threshold)
    tried = replace(serving, in_force=replace(serving.in_force, limits=limits))
    changed = [each for each in line.again(line.recorded, tried=tried) if each.differences]
    assert [(each.recorded.source.offset, str(each.differences[0])) for each in changed] == [
        (1, "verdict fail is pass")
    ]


def test_scores_that_are_missing_are_the_same_as_none() -> None:
    """And differ from any."""
    assert same_score(None, None)
    assert not same_score(1.0, None)
    assert not same_score(None, 1.0)
    assert same_score(0.0, 0.0)
