"""The bench without Kafka: from the bytes of a JPEG to a decision and its map, by the code that the service runs."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from inference.answer_sizes import AS_CREATED, AnswerSizes
from inference.bank_notices import BankNotices
from inference.banks import ActiveBanks, BankLoader
from inference.history import History
from inference.inspector import Destinations, Inspector, Queued
from inference.known_views import KnownViews
from inference.scoring import FrameScoring
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.claims import Claims, ClaimSettings
from ingest.decision import Decision
from ingest.decoding import FrameDecoder
from ingest.kafka.records import Claim, Partition, Record
from softpatch.scoring.bounded_search import cpu_search
from softpatch.scoring.score import anomaly_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.settings import Settings
    from ingest.store import Store
    from softpatch.bank import Bank
    from softpatch.network.embed import Embedder

WARM_UP_BATCHES = 4


@dataclass(frozen=True)
class InProcess:
    """Throughput of one process without Kafka; `stage_seconds` are per frame."""

    frames: int
    frames_per_second: float
    stage_seconds: dict[str, float]


def state_of(bank: Bank, version: str, uri: str) -> BankState:
    """The bank state that puts a bank in force."""
    manifest = bank.manifest
    in_force = BankInForce(version=version, uri=uri, graph_hash=manifest.graph_hash, threshold=manifest.threshold.value)
    return BankState(
        view=manifest.view,
        epoch=1,
        state=ViewState.ACTIVE,
        active=in_force,
        by="bench",
        why="a bench needs a bank",
        at=datetime.now(UTC),
    )


def in_process(
    encoded: Sequence[bytes],
    state: BankState,
    bank: Bank,
    *,
    settings: Settings,
    store: Store,
    embedder: Embedder,
) -> InProcess:
    """Decide these frames in batches as the service does, after a few batches that do not count."""
    threads = settings.inference.decode_threads
    decoder = FrameDecoder(settings.images, workers=threads, clock=time.monotonic)
    with decoder, ThreadPoolExecutor(threads, "decode") as pool:
        inspector = _inspector(state, settings, store, embedder, pool=pool, decoder=decoder)
        size = settings.inference.batch_frames
        queued = [_queued(state.view, frame, offset) for offset, frame in enumerate(encoded)]
        batches = [queued[start : start + size] for start in range(0, len(queued), size)]
        for batch in batches[:WARM_UP_BATCHES]:
            inspector.inspect(batch)
        stages: dict[str, float] = defaultdict(float)
        begun = time.perf_counter()
        for batch in batches:
            answers = inspector.inspect(batch)
            drawn = time.perf_counter()
            for answer in answers.answers:
                _map_of(answer.message, bank)
            stages["map"] += time.perf_counter() - drawn
            for stage, seconds in answers.stage_seconds.items():
                stages[stage] += seconds
        seconds = time.perf_counter() - begun
    per_frame = {stage: spent / len(encoded) for stage, spent in stages.items()}
    return InProcess(len(encoded), len(encoded) / seconds, per_frame)


def _inspector(
    state: BankState,
    settings: Settings,
    store: Store,
    embedder: Embedder,
    *,
    pool: ThreadPoolExecutor,
    decoder: FrameDecoder,
) -> Inspector:
    threads = settings.runtime.threads
    loader = BankLoader(store, embedder, lambda vectors: cpu_search(vectors, threads=threads))
    active = ActiveBanks(loader, BankNotices())
    active.take([Record("banks", 0, 0, 0, "log_append_time", state.view.encode(), state.to_bytes())])
    return Inspector(
        scoring=FrameScoring(
            embedder,
            pool=pool,
            decoder=decoder,
            claims=Claims(ClaimSettings(), clock=time.perf_counter),
            clock=time.perf_counter,
        ),
        banks=active,
        history=History(remembered_frame_ids=settings.inference.remembered_frame_ids),
        inspection_of=settings.inspection_of,
        destinations=Destinations("decisions", "frames.dead-letter"),
        sizes=AnswerSizes(lambda: AS_CREATED),
        views=KnownViews(most=10, forget_after_seconds=3600, clock=time.perf_counter),
        clock=time.perf_counter,
        now=lambda: datetime.now(UTC),
        first_topic="frames",
    )


def _queued(key: str, encoded: bytes, offset: int) -> Queued:
    now_ms = int(time.time() * 1000)
    claim = Claim(Partition("frames", 0), 1)
    record = Record("frames", 0, offset, now_ms, "log_append_time", key.encode(), encoded, claim=claim)
    return Queued(record, time.perf_counter())


def _map_of(message: object, bank: Bank) -> None:
    """The full map of every frame: the service makes it only for those that fail."""
    if isinstance(message, Decision) and message.anomaly_map is not None:
        geometry = bank.manifest.geometry
        anomaly_map(message.anomaly_map.scores(), height_px=geometry.height_px, width_px=geometry.width_px)
