"""The inference service on a real Apache Kafka: every input record gets exactly one decision or dead letter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from kafka import KafkaAdminClient
from prometheus_client import CollectorRegistry

from inference.network import OpenedNetwork
from inference.settings import InferenceSettings, ViewInspection
from inference.wiring import serve
from ingest.dead_letter import parse_dead_letter
from ingest.decision import Decision, Reason, Verdict
from ingest.decoding import ImageSettings
from ingest.kafka.connecting import client_options
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.topics import create_topics, describe_topics
from ingest.kafka.writers import KafkaSender
from softpatch.scoring.search import FlatSearch
from tests.brokers import free_port
from tests.inference.sample_bank import VIEW, jpeg, sample_bank, state, stored
from tests.inference.test_inspector import BAD
from tests.ingest.no_claims import NO_CLAIMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.bank_state import BankInForce
    from ingest.contract import SourceRecord
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka

PATIENT = ViewInspection(deadline_seconds=60)

Place = tuple[int, int]
"""Partition and offset of an input record."""


class Line:
    """One set of topics: frames in, answers out."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        create_topics(kafka, give_up_seconds=30)
        self._sender = KafkaSender.open(kafka)

    def send(self, frames: Sequence[Outgoing]) -> list[Place]:
        """Send frames; returns where they lie."""
        pending = [self._sender.send(each) for each in frames]
        self._sender.flush(30)
        sent = [each.wait(0) for each in pending]
        return [(each.partition.partition, each.offset) for each in sent]

    def frame(self, seed: int, *, defect: bool = False, key: str = VIEW) -> Outgoing:
        """A frame as a camera sends it."""
        return Outgoing(self.kafka.topic("frames"), key.encode(), jpeg(seed, defect=defect))

    def put_in_force(self, active: BankInForce, *, epoch: int, view: str = VIEW) -> None:
        """Say in `banks` what serves a view."""
        value = state(active, epoch=epoch, view=view).to_bytes()
        self._sender.send_and_wait(Outgoing(self.kafka.topic("banks"), view.encode(), value))

    def decisions(self) -> list[Decision]:
        """All committed so far."""
        with WholeTopicReader.open(self.kafka, topics=[self.kafka.topic("decisions")]) as reader:
            return [Decision.from_bytes(each.value or b"") for each in reader.read_to_end(30)]

    def answered(self) -> Counter[Place]:
        """How often each input record was answered: decisions and dead letters, before any de-duplication."""
        with WholeTopicReader.open(self.kafka, topics=[self.kafka.topic("frames.dead-letter")]) as reader:
            letters = [parse_dead_letter(key=r.key, value=r.value, headers=r.headers) for r in reader.read_to_end(30)]
        return Counter(place(each.source) for each in (*self.decisions(), *letters))

    def wait_for_answers(self, count: int, *, seconds: float = 60) -> None:
        """Until so many records are answered. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while (found := len(self.answered())) < count:
            if time.monotonic() > ends:
                raise TimeoutError(f"{found} of {count} answered after {seconds} s")
            time.sleep(0.1)

    def close(self) -> None:
        """Stop sending."""
        self._sender.close()


def place(source: SourceRecord) -> Place:
    """Where an input record lies."""
    return source.partition, source.offset


@pytest.fixture
def line(kafka_broker: KafkaBroker) -> Iterator[Line]:
    """A fresh line."""
    made = Line(kafka_broker.settings())
    yield made
    made.close()


@contextmanager
def running(
    line: Line,
    store: FsspecStore,
    embedder: OnnxEmbedder,
    *,
    inspection: ViewInspection = PATIENT,
    wall_off_seconds: float = 0,
    **settings: object,
) -> Iterator[int]:
    """The service in a thread, ready; gives its metrics port. Leaving drains it, and raises what ended it."""
    stop, failures, port = Event(), list[BaseException](), free_port()

    def run() -> None:
        try:
            serve(
                kafka=line.kafka,
                settings=InferenceSettings.model_validate({"metrics_port": port, **settings}),
                inspection_of=lambda _: inspection,
                open_network=lambda _: OpenedNetwork(embedder, ""),
                store=store,
                images=ImageSettings(),
                claims=NO_CLAIMS,
                stop=stop,
                make_search=lambda vectors: FlatSearch(vectors, threads=1),
                registry=CollectorRegistry(),
                now=lambda: datetime.now(UTC) + timedelta(seconds=wall_off_seconds),
            )
        except BaseException as error:  # noqa: BLE001 -- raised below, in the test's thread
            failures.append(error)

    service = Thread(target=run)
    service.start()
    try:
        wait_until_ready(port)
        yield port
    finally:
        stop.set()
        service.join(30)
    assert not service.is_alive()
    if failures:
        raise failures[0]


def page(port: int, path: str) -> str | None:
    """A health page; None while it is not served or not well."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except (URLError, ConnectionError):
        return None


def wait_until_ready(port: int, *, seconds: float = 40) -> None:
    """Until `/readyz` says so. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while page(port, "/readyz") is None:
        if time.monotonic() > ends:
            raise TimeoutError(f"not ready after {seconds} s")
        time.sleep(0.05)


def metric(port: int, sample: str) -> float:
    """The value of one sample on `/metrics`."""
    text = page(port, "/metrics") or ""
    return next(float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.startswith(sample + " "))


def test_every_record_bad_or_good_is_answered_once_and_rightly(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """Two views, one of them without a bank, and every bad input there is between them."""
    line.put_in_force(stored(store, bank).in_force, epoch=1)
    good = [line.frame(n) for n in range(12)]
    bad = [line.frame(n, defect=True) for n in range(6)]
    learning = [line.frame(n, key="line/new") for n in range(4)]
    odd = [Outgoing(line.kafka.topic("frames"), r.key, r.value, r.headers, partition=0) for _, r, _ in BAD]
    frames = [*good, *odd, *bad, *learning]
    with running(line, store, embedder) as port:
        sent = {id(each): where for each, where in zip(frames, line.send(frames), strict=True)}
        line.wait_for_answers(len(frames))
        counted = metric(port, f'patchline_decisions_total{{verdict="fail",view="{VIEW}"}}')
        rows = (page(port, "/metrics") or "").splitlines()
    assert line.answered() == Counter(sent.values())
    decided = {place(each.source): each for each in line.decisions()}
    assert {decided[sent[id(each)]].verdict for each in good} == {Verdict.PASS}
    assert {decided[sent[id(each)]].verdict for each in bad} == {Verdict.FAIL}
    assert {decided[sent[id(each)]].reason for each in learning} == {Reason.LEARNING}
    assert counted == 6
    assert len([row for row in rows if row.startswith("patchline_bank_info")]) == 1


def test_a_bank_is_swapped_while_frames_flow(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """First the one bank, then the other, in offset order, and no frame without either."""
    first, second = (stored(store, each).in_force for each in (bank, sample_bank(embedder, seed=1)))
    line.put_in_force(first, epoch=1)
    with running(line, store, embedder, batch_frames=2):
        sent = line.send([line.frame(n) for n in range(30)])
        line.wait_for_answers(1)
        line.put_in_force(second, epoch=2)
        ends = time.monotonic() + 60
        while not any(each.bank and each.bank.epoch == 2 for each in line.decisions()):
            assert time.monotonic() < ends
            sent += line.send([line.frame(n) for n in range(5)])
    assert line.answered() == Counter(sent)
    versions = [each.bank.version for each in line.decisions() if each.bank]
    assert len(versions) == len(sent)
    assert versions == sorted(versions, key=[first.version, second.version].index)
    assert set(versions) == {first.version, second.version}


def test_a_stopped_service_leaves_nothing_half_done(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """Told to stop in the middle of its work, it commits what it holds; the next process does the rest."""
    line.put_in_force(stored(store, bank).in_force, epoch=1)
    sent = line.send([line.frame(n % 20) for n in range(200)])
    with running(line, store, embedder, queue_frames=16):
        line.wait_for_answers(1)
    after_stop = len(line.answered())
    with running(line, store, embedder):
        line.wait_for_answers(len(sent))
    assert after_stop >= 1
    assert line.answered() == Counter(sent)


def start_process(line: Line, folder: str, port: int) -> subprocess.Popen[bytes]:
    """The service as a process that can be killed."""
    arguments = (line.kafka.model_dump_json(), json.dumps({"metrics_port": port}), folder)
    return subprocess.Popen([sys.executable, "-m", "tests.inference.inspect_process", *arguments])


@pytest.mark.slow
def test_a_killed_service_loses_and_doubles_nothing(
    line: Line, store: FsspecStore, bank: Bank, tmp_path: object
) -> None:
    """Kill -9 in the middle of a stream, again and again; SIGTERM at the end is a clean exit."""
    line.put_in_force(stored(store, bank).in_force, epoch=1)
    sent = line.send([line.frame(n % 20) for n in range(300)])
    for _ in range(2):
        before, process = len(line.answered()), start_process(line, f"{tmp_path}/store", free_port())
        line.wait_for_answers(before + 1)
        process.kill()
        process.wait(10)
    sent += line.send([line.frame(n % 20) for n in range(20)])
    process = start_process(line, f"{tmp_path}/store", free_port())
    line.wait_for_answers(len(sent))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert line.answered() == Counter(sent)


def test_a_repeated_frame_id_is_told_after_a_restart(line: Line, store: FsspecStore, embedder: OnnxEmbedder) -> None:
    """The second process decides a frame that the first has decided: same decision id, and the record it repeats."""
    frame, other = line.frame(0), line.frame(1)
    frame, other = (replace(each, headers=(("frame-id", name),)) for each, name in ((frame, b"a"), (other, b"b")))
    with running(line, store, embedder):
        (first,) = line.send([frame])
        line.wait_for_answers(1)
    with running(line, store, embedder):
        line.send([frame, other])
        line.wait_for_answers(3)
    again = line.decisions()
    assert [each.frame_id for each in again] == ["a", "a", "b"]
    assert len({each.id for each in again}) == 2
    assert [each.duplicate_of and place(each.duplicate_of) for each in again] == [None, first, None]


@pytest.mark.slow
def test_a_clock_that_is_behind_lets_no_late_frame_pass(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """12 s old frames, a deadline of 5 s: by a host's clock an hour behind they were silent passes.

    The first commit shows it and is aborted; then all is undecided, for so far apart no clock is to be trusted. By a
    clock a few seconds behind they are late, as they are.
    """
    line.put_in_force(stored(store, bank).in_force, epoch=1)
    line.send([line.frame(n) for n in range(4)])
    time.sleep(6)
    with running(line, store, embedder, inspection=ViewInspection(deadline_seconds=5), wall_off_seconds=-4) as port:
        line.wait_for_answers(4)
        assert metric(port, "patchline_clock_skew_seconds") == pytest.approx(-4, abs=1)
        assert metric(port, "patchline_kafka_transactions_aborted_total") >= 1
    assert {each.reason for each in line.decisions()} == {Reason.DEADLINE}
    with running(line, store, embedder, inspection=ViewInspection(deadline_seconds=5), wall_off_seconds=-3600):
        line.send([line.frame(n) for n in range(4, 8)])
        line.wait_for_answers(8)
    assert Counter(each.reason for each in line.decisions()) == {Reason.DEADLINE: 4, Reason.CLOCK: 4}


@pytest.mark.slow
def test_a_group_whose_offsets_are_gone_decides_nothing_twice(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """Kafka forgets them after a week without a member; the decisions know how far it was."""
    line.put_in_force(stored(store, bank).in_force, epoch=1)
    sent = line.send([line.frame(n) for n in range(4)])
    with running(line, store, embedder):
        line.wait_for_answers(4)
    admin = KafkaAdminClient(**client_options(line.kafka))
    group = line.kafka.group(line.kafka.inference_group)
    ends = time.monotonic() + 30
    while admin.list_group_offsets([group])[group] and time.monotonic() < ends:
        admin.delete_groups([group])  # refused for its session: a static member leaves without a word
        time.sleep(0.5)
    assert admin.list_group_offsets([group])[group] == {}
    admin.close()
    sent += line.send([line.frame(n) for n in range(4, 6)])
    with running(line, store, embedder):
        line.wait_for_answers(6)
    assert line.answered() == Counter(sent)


def test_frames_of_partitions_that_are_added_while_it_runs_are_decided(
    line: Line, store: FsspecStore, embedder: OnnxEmbedder
) -> None:
    """Decisions and dead letters grow along; it ended with `Unrecognized partition` once."""
    frames = line.kafka.topic("frames")
    with running(line, store, embedder):
        with KafkaAdminClient(**client_options(line.kafka)) as admin:
            admin.create_partitions({frames: line.kafka.partitions + 2})
        with KafkaSender.open(line.kafka) as sender:
            sent = [sender.send_and_wait(Outgoing(frames, b"line/new", jpeg(n), partition=7)) for n in range(2)]
        line.wait_for_answers(2)
    assert line.answered() == Counter({(7, each.offset): 1 for each in sent})
    assert {each.partitions for each in describe_topics(line.kafka) if each.name.endswith("decisions")} == {8}
