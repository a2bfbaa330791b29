"""Lines whose decisions are made up, as large as inference writes them: banks, frames, and a stream of decisions."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np
from confluent_kafka import Producer

from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.cameras.simulator import Simulator
from ingest.contract import SourceRecord
from ingest.decision import (
    BankRef,
    Decision,
    DefectRegion,
    ImageFacts,
    NearestPatch,
    Reason,
    SmallMap,
    Verdict,
    decision_id,
)
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store_layout import bank_path
from softpatch.bank import Bank, bank_to_bytes, bank_version
from softpatch.building.build import build_bank
from softpatch.images.geometry import Geometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store

WINDOW_FRAMES, FRAMES_OF_A_VIEW = 40, 6
FAILS_ONE_IN, UNDECIDED_ONE_IN = 50, 200
SHAPES = FRAMES_OF_A_VIEW
"""Different maps and sketches of each verdict."""
SEND_SECONDS, FLUSH_SECONDS = 0.01, 30.0
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
ID, NAME, SERIAL, SEQUENCE, MADE = b"0" * 64, b"FRAME-ID", b"PART-SERIAL", b"987654321", b"2000-01-01T00:00:00Z"
"""What is put into ready-made messages in the place of."""
SIZE_WH_PX = (512, 512)


@dataclass(frozen=True)
class DecidedView:
    """A view: its bank, and where its frames lie in Kafka."""

    name: str
    bank: BankRef | None
    threshold: float
    learnt_from: tuple[str, ...]
    sources: tuple[SourceRecord, ...]


def frame_id(number: int) -> str:
    """Of decision `number` of a view."""
    return f"run-{number}"


def prepared(kafka: KafkaSettings, store: Store, *, views: int) -> list[DecidedView]:
    """Banks in the store and in force, and frames in Kafka, for so many views."""
    camera = Simulator("gear", seed=0, clock=lambda: datetime.now(UTC))
    frames = [camera.frame(number).encoded for number in range(WINDOW_FRAMES)]
    bank = _bank(frames)
    with KafkaSender.open(kafka) as sender:
        return [
            _view(kafka, sender, frames, _bank_in_force(f"line-{n % 10}/camera-{n}", bank, store)) for n in range(views)
        ]


def _bank(frames: list[bytes]) -> Bank:
    """A bank of the default size, over the largest input that a view chooses by itself: the map has 56 x 56 bytes."""
    geometry = Geometry(mode="squash", height_px=448, width_px=448)
    return build_bank(
        frames,
        OnnxEmbedder.open(lite0()),
        BuildSettings(geometry=geometry, features="fine", detection_plants=0),
        view="line/camera",
        frame_names=[f"window-{number}" for number in range(len(frames))],
        created_at="2026-11-29T00:00:00+00:00",
    )


def _bank_in_force(view: str, bank: Bank, store: Store) -> tuple[BankState, Bank]:
    """The bank as the view's own, in the store."""
    own = replace(bank, manifest=bank.manifest.model_copy(update={"view": view}))
    data, manifest = bank_to_bytes(own), own.manifest
    path = bank_path(view, bank_version(data))
    store.put(path, data)
    in_force = BankInForce(
        version=bank_version(data), uri=path, graph_hash=manifest.graph_hash, threshold=manifest.threshold.value
    )
    now = datetime.now(UTC)
    state = BankState(view=view, epoch=1, state=ViewState.ACTIVE, active=in_force, by="bench", why="bench", at=now)
    return state, own


def _view(kafka: KafkaSettings, sender: KafkaSender, frames: list[bytes], of: tuple[BankState, Bank]) -> DecidedView:
    """Its state and some frames, in Kafka."""
    state, bank = of
    key, topic = state.view.encode(), kafka.topic("frames")
    sender.send_and_wait(Outgoing(kafka.topic("banks"), key, state.to_bytes()))
    sent = [sender.send_and_wait(Outgoing(topic, key, each)) for each in frames[:FRAMES_OF_A_VIEW]]
    return DecidedView(
        name=state.view,
        bank=BankRef(version=state.active.version, epoch=1) if state.active else None,
        threshold=bank.manifest.threshold.value,
        learnt_from=tuple(bank.manifest.frame_names),
        sources=tuple(SourceRecord(topic=topic, partition=s.partition.partition, offset=s.offset) for s in sent),
    )


def send_decisions(kafka: KafkaSettings, views: list[DecidedView], *, a_second: float, seconds: float) -> None:
    """Send each view's decisions at its rate, each decided when it is sent.

    By librdkafka and from ready-made bytes: in a plant other machines decide.
    """
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", "enable.idempotence": True}
    )
    shapes = [_shapes(view, seed) for seed, view in enumerate(views)]
    keys = [view.name.encode() for view in views]
    topic, sent, begun = kafka.topic("decisions"), 0, time.monotonic()
    whole = round(a_second * seconds) * len(views)
    while sent < whole:
        due = min(whole, int((time.monotonic() - begun) * a_second * len(views)))
        for place in range(sent, due):
            number, which = divmod(place, len(views))
            producer.produce(topic, value=_message(views[which].name, shapes[which], number), key=keys[which])
        sent = due
        producer.poll(SEND_SECONDS)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError("not every decision was acknowledged")


def verdict_of(number: int) -> Verdict:
    """Of decision `number` of a view."""
    if number % FAILS_ONE_IN == FAILS_ONE_IN // 2:
        return Verdict.FAIL
    return Verdict.UNDECIDED if number % UNDECIDED_ONE_IN == UNDECIDED_ONE_IN // 2 else Verdict.PASS


def _message(view: str, shapes: dict[Verdict, list[bytes]], number: int) -> bytes:
    """Decision `number` of a view, made now: the cameras of a line see the same part."""
    verdict = verdict_of(number)
    return (
        shapes[verdict][number % SHAPES]
        .replace(ID, decision_id(view, frame_id(number)).encode())
        .replace(NAME, frame_id(number).encode())
        .replace(SERIAL, f"{view.partition('/')[0]}-{number}".encode())
        .replace(SEQUENCE, str(number).encode())
        .replace(MADE, datetime.now(UTC).isoformat().encode())
    )


def _shapes(view: DecidedView, seed: int) -> dict[Verdict, list[bytes]]:
    rng = np.random.default_rng(seed)
    return {verdict: [_shape(view, verdict, source, rng).to_bytes() for source in view.sources] for verdict in Verdict}


def _shape(view: DecidedView, verdict: Verdict, source: SourceRecord, rng: np.random.Generator) -> Decision:
    """One decision with all that a scored frame has, and marks where each has its own."""
    peak = {Verdict.PASS: 0.7, Verdict.FAIL: 1.6, Verdict.UNDECIDED: 0.98}[verdict] + 0.05 * rng.random()
    field = cv2.GaussianBlur(rng.random((56, 56)).astype(np.float32), (0, 0), 1.5)
    row, column = (int(each) for each in np.unravel_index(int(field.argmax()), field.shape))
    score = view.threshold * peak
    left, top = 9.0 * column, 9.0 * row
    region = DefectRegion(box_xyxy_px=(left, top, left + 20, top + 20), peak_ratio=peak)
    return Decision(
        id=ID.decode(),
        view=view.name,
        frame_id=NAME.decode(),
        source=source,
        verdict=verdict,
        reason=Reason.NEAR_THRESHOLD if verdict is Verdict.UNDECIDED else None,
        score=score,
        threshold=view.threshold,
        score_ratio=peak,
        bank=view.bank,
        regions=(region,) if verdict is Verdict.FAIL else (),
        anomaly_map=SmallMap.of(field * (score / field.max())),
        nearest=NearestPatch(source_frame=view.learnt_from[int(rng.integers(WINDOW_FRAMES))], row=row, column=column),
        image=ImageFacts(
            brightness=100 + rng.random(), contrast=30 + rng.random(), sharpness=9, dark_ratio=0, saturated_ratio=0
        ),
        size_wh_px=SIZE_WH_PX,
        difference_hash="00ff00ff00ff00ff",
        change_bits=3,
        sketch=tuple(rng.normal(size=32).astype(np.float32).tolist()),
        sequence=int(SEQUENCE),
        part_serial=SERIAL.decode(),
        captured_at=NEVER,
        appended_at=NEVER,
        decided_at=NEVER,
        provider="CPUExecutionProvider",
        precision="fp32",
        queue_seconds=0.002,
        stage_seconds={"decode": 0.0031, "embed": 0.0072, "search": 0.0054, "score": 0.0004},
    )
