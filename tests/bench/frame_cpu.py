"""CPU a frame, and how much of it is neither decoding, nor the network, nor search: parsing, history, map, decision.

`python -m tests.bench.frame_cpu`; with PATCHLINE_TEST_KAFKA_HOME also what the transaction loop takes. Seconds are of
CPU, of all threads, so other work on the machine does not count.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from inference.answer_sizes import AS_CREATED, AnswerSizes
from inference.bank_notices import BankNotices
from inference.banks import ActiveBanks, BankLoader
from inference.history import History
from inference.inspector import Destinations, Inspector, Queued
from inference.known_views import KnownViews
from inference.scoring import FrameScoring
from inference.settings import ViewInspection
from ingest.decoding import FrameDecoder, ImageSettings
from ingest.store import FsspecStore
from softpatch.images.geometry import FrameGeometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.scoring.search import FlatSearch
from tests.bench import loop_throughput
from tests.brokers import KafkaBroker
from tests.inference.sample_bank import encoded, picture, record, sample_bank, state, state_record, stored
from tests.ingest.no_claims import NO_CLAIMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

BATCH_FRAMES, WARM_BATCHES, BATCHES, PROFILED_BATCHES = 16, 3, 40, 10
FRAME_PX, INPUT_PX = 512, 224
DEFECTIVE_EVERY = 10
ELSEWHERE = ("decode", "embed", "search")
"""Stages whose cost is the picture's, the network's and the bank's."""
PROFILE_LINES = 12


@dataclass(frozen=True)
class Cost:
    """Milliseconds of CPU per frame: all of it, and what the stages took."""

    total_ms: float
    stages_ms: dict[str, float]

    @property
    def rest_ms(self) -> float:
        """Outside decoding, network and search."""
        return self.total_ms - sum(self.stages_ms.get(each, 0.0) for each in ELSEWHERE)


def batches(count: int) -> Iterator[list[Queued]]:
    """So many batches of different frames, one in ten of them defective, as the loop hands them over."""
    frames = [encoded(picture(seed, size_px=FRAME_PX, defect=seed % DEFECTIVE_EVERY == 0)) for seed in range(20)]
    for start in range(0, count * BATCH_FRAMES, BATCH_FRAMES):
        at = datetime.now(UTC)
        yield [
            Queued(record(start + each, frames[(start + each) % len(frames)], at=at), time.process_time())
            for each in range(BATCH_FRAMES)
        ]


def made_inspector(store: FsspecStore, pool: Executor) -> Inspector:
    """With a bank in force, on one thread of everything."""
    embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=1)
    loader = BankLoader(store, embedder, lambda vectors: FlatSearch(vectors, threads=1))
    active = ActiveBanks(loader, BankNotices())
    bank = sample_bank(embedder, geometry=FrameGeometry(mode="squash", height_px=INPUT_PX, width_px=INPUT_PX), frames=5)
    active.take([state_record(state(stored(store, bank).in_force))])
    return Inspector(
        scoring=FrameScoring(
            embedder,
            pool=pool,
            decoder=FrameDecoder(ImageSettings(), workers=1, clock=time.monotonic),
            claims=NO_CLAIMS,
            clock=time.process_time,
        ),
        banks=active,
        history=History(remembered_frame_ids=10_000),
        inspection_of=lambda _: ViewInspection(),
        destinations=Destinations("decisions", "frames.dead-letter"),
        sizes=AnswerSizes(lambda: AS_CREATED),
        views=KnownViews(most=10, forget_after_seconds=3600, clock=time.perf_counter),
        clock=time.process_time,
        now=lambda: datetime.now(UTC),
        first_topic="frames",
    )


def measured(inspector: Inspector) -> Cost:
    """After some batches to warm up."""
    for batch in batches(WARM_BATCHES):
        inspector.inspect(batch)
    total, stages, frames = 0.0, defaultdict[str, float](float), BATCHES * BATCH_FRAMES
    for batch in batches(BATCHES):
        begun = time.process_time()
        answers = inspector.inspect(batch)
        total += time.process_time() - begun
        for name, seconds in answers.stage_seconds.items():
            stages[name] += seconds
    return Cost(1000 * total / frames, {name: 1000 * seconds / frames for name, seconds in stages.items()})


def profile(inspector: Inspector) -> pstats.Stats:
    """Where the thread that decides spends its time."""
    made, profiler = list(batches(PROFILED_BATCHES)), cProfile.Profile(time.thread_time)
    profiler.enable()
    for batch in made:
        inspector.inspect(batch)
    profiler.disable()
    return pstats.Stats(profiler).sort_stats("tottime")


def loop_ms(home: str) -> float:
    """CPU per frame of polling and committing, milliseconds."""
    with TemporaryDirectory() as folder:
        broker = KafkaBroker(Path(home), Path(folder)).start()
        try:
            return 1000 * loop_throughput.measured(broker)[1]
        finally:
            broker.kill()


def main() -> None:
    """Print it all."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        inspector = made_inspector(FsspecStore.open(folder), pool)
        cost = measured(inspector)
        profile(inspector).print_stats(PROFILE_LINES)
    print(f"ms of CPU a frame of {FRAME_PX} px, input {INPUT_PX} px:")  # noqa: T201 -- what it is for
    for name, spent in {**cost.stages_ms, "all": cost.total_ms, "all but decode, embed, search": cost.rest_ms}.items():
        print(f"  {name}: {spent:.2f}")  # noqa: T201
    if home := os.environ.get("PATCHLINE_TEST_KAFKA_HOME"):
        loop = loop_ms(home)
        print(f"  the transaction loop: {loop:.2f}; with it {cost.rest_ms + loop:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
