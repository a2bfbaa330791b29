"""Frames scored beside the bank in force: on the real graph, with real banks, without Kafka."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from inference.handoff_queue import HandoffQueue
from inference.inspector import AnswerBatch, Queued
from inference.shadow import ShadowScoring
from inference.worker import Worker
from ingest.decision import Decision, Verdict
from ingest.kafka.errors import SendFailed
from monitoring.metrics import declare_inference
from tests.inference.sample_bank import VIEW, jpeg, record, state, state_record, stored
from tests.inference.test_inspector import INSPECTION, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.bank_state import BankState
    from ingest.kafka.records import Outgoing
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder


class Outbox:
    """Takes what is sent; refuses it while `broken`."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.broken = False

    def send(self, outgoing: Outgoing) -> None:
        """Keep it."""
        if self.broken:
            raise SendFailed("no rights")
        self.sent.append(outgoing)

    @property
    def decisions(self) -> list[Decision]:
        """What readers see."""
        return [Decision.from_bytes(each.value or b"") for each in self.sent]


class ShadowBench(Bench):
    """An inspector with a shadow beside it that keeps three frames at most."""

    def __init__(self, store: FsspecStore, embedder: OnnxEmbedder) -> None:
        super().__init__(store, embedder)
        self.outbox = Outbox()
        self.metrics = declare_inference(CollectorRegistry())
        self.shadow = ShadowScoring(
            self.inspector._scoring,
            self.banks,
            self.outbox,
            topic="decisions.shadow",
            metrics=self.metrics,
            clock=time.monotonic,
            room=3,
        )
        self.inspector._shadow = self.shadow
        self.inspector._inspection_of = lambda _: INSPECTION.model_copy(update={"shadow_every": 2})

    def try_beside(self, active: Bank, tried: Bank) -> BankState:
        """Put one bank in force and another beside it."""
        in_force = stored(self.store, active).in_force
        beside = stored(self.store, tried).in_force
        named = state(in_force, epoch=4).model_copy(update={"shadow": beside, "candidate": beside})
        self.banks.take([state_record(named)])
        return named

    def score_all(self) -> None:
        """As the worker does while no frame waits."""
        while self.shadow.waiting:
            self.shadow.score_one()


@pytest.fixture
def bench(store: FsspecStore, embedder: OnnxEmbedder) -> Iterator[ShadowBench]:
    """An inspector whose views are all learning."""
    opened = ShadowBench(store, embedder)
    yield opened
    opened.close()


def lenient(bank: Bank) -> Bank:
    """The same bank with ten times its threshold: it lets defects pass."""
    threshold = bank.manifest.threshold.model_copy(update={"value": 10 * bank.manifest.threshold.value})
    return replace(bank, manifest=bank.manifest.model_copy(update={"threshold": threshold}))


def test_a_sample_is_decided_by_both_banks_and_only_one_counts(bench: ShadowBench, bank: Bank) -> None:
    """Every second frame; what is published names the frame, the bank that was tried, and what counts."""
    named = bench.try_beside(bank, lenient(bank))
    live = bench.decisions(*(record(n, jpeg(n, defect=n == 2)) for n in range(5)))
    assert [each.verdict for each in live] == [Verdict.PASS, Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    bench.score_all()
    assert [each.source.offset for each in bench.outbox.decisions] == [0, 2, 4]
    tried = bench.outbox.decisions[1]
    assert named.shadow is not None
    assert tried.bank is not None
    assert (tried.bank.version, tried.bank.epoch) == (named.shadow.version, 4)
    assert tried.verdict is Verdict.PASS
    assert tried.in_force is not None
    assert (tried.in_force.verdict, tried.in_force.score_ratio) == (Verdict.FAIL, live[2].score_ratio)
    assert tried.score == pytest.approx(live[2].score, rel=1e-5)
    assert all(each.in_force is None for each in live)
    assert {(each.topic, each.key) for each in bench.outbox.sent} == {("decisions.shadow", VIEW.encode())}
    assert bench.metrics.shadow_scored.labels(view=VIEW)._value.get() == 3


def test_where_no_bank_is_tried_nothing_is_scored_twice(bench: ShadowBench, bank: Bank) -> None:
    """The usual case."""
    bench.put_in_force(bank)
    bench.decisions(*(record(n, jpeg(n)) for n in range(4)))
    assert not bench.shadow.waiting


def test_what_finds_no_room_is_dropped_the_oldest_first(bench: ShadowBench, bank: Bank) -> None:
    """Three wait at most: live frames are never held up by a trial."""
    bench.try_beside(bank, lenient(bank))
    bench.decisions(*(record(n, jpeg(n)) for n in range(10)))
    bench.score_all()
    assert [each.source.offset for each in bench.outbox.decisions] == [4, 6, 8]
    assert bench.metrics.shadow_dropped.labels(view=VIEW)._value.get() == 2


def test_a_trial_that_ends_or_cannot_be_published_costs_nothing_else(bench: ShadowBench, bank: Bank) -> None:
    """A bank that was promoted meanwhile, a topic that takes nothing: frames are dropped and counted."""
    named = bench.try_beside(bank, lenient(bank))
    bench.decisions(record(0, jpeg(0)))
    bench.outbox.broken = True
    bench.score_all()
    bench.decisions(record(2, jpeg(2)))
    bench.banks.take([state_record(named.model_copy(update={"shadow": None, "candidate": None, "epoch": 5}))])
    bench.score_all()
    assert bench.outbox.sent == []
    assert bench.metrics.shadow_dropped.labels(view=VIEW)._value.get() == 2
    assert bench.decisions(record(4, jpeg(4)))[0].verdict is Verdict.PASS


def test_a_tried_bank_that_comes_into_force_is_not_loaded_again(bench: ShadowBench, bank: Bank) -> None:
    """The scorer is the same object, so that the swap costs nothing."""
    named = bench.try_beside(bank, lenient(bank))
    tried = bench.banks.shadow(VIEW)
    assert tried is not None
    after = named.model_copy(update={"active": named.shadow, "shadow": None, "candidate": None, "epoch": 5})
    bench.banks.take([state_record(after)])
    serving = bench.banks.status(VIEW)
    assert serving.scorer is tried.scorer  # type: ignore[union-attr]  # it serves
    assert bench.banks.shadow(VIEW) is None


class Inspects:
    """Answers nothing and takes a note."""

    def __init__(self, shadow: Trials, handoff: HandoffQueue) -> None:
        self.shadow = shadow
        self.handoff = handoff

    def inspect(self, batch: list[Queued]) -> AnswerBatch:
        """Two frames more come while the first is scored."""
        self.shadow.log.append(f"live {len(batch)}")
        if len(self.shadow.log) == 1:
            self.shadow.left = 2
            self.handoff.accept([Queued(record(1, b"x"), 0.0), Queued(record(2, b"x"), 0.0)])
        return AnswerBatch(())


class Trials:
    """A shadow that has some frames left."""

    def __init__(self) -> None:
        self.left = 0
        self.log: list[str] = []

    @property
    def waiting(self) -> bool:
        """Whether some are left."""
        return self.left > 0

    def score_one(self) -> None:
        """Take one."""
        self.left -= 1
        self.log.append("shadow")


def test_live_frames_go_first() -> None:
    """While frames wait none is scored in shadow; once they are done, the rest is."""
    handoff, trials = HandoffQueue(room_frames=9, room_bytes=1000), Trials()
    inspector = Inspects(trials, handoff)
    with Worker(handoff, inspector, batch_frames=2, shadow=trials):  # type: ignore[arg-type]  # structurally they are
        handoff.accept([Queued(record(0, b"x"), 0.0)])
        ends = time.monotonic() + 20
        while len(trials.log) < 4 and time.monotonic() < ends:
            time.sleep(0.01)
    assert trials.log == ["live 1", "live 2", "shadow", "shadow"]
