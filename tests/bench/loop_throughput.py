"""How many megabytes of frames the transaction loop commits a second, when deciding costs nothing.

`python -m tests.bench.loop_throughput` with PATCHLINE_TEST_KAFKA_HOME; the broker runs on the same machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.kafka.records import Outgoing, Work
from ingest.kafka.topics import create_topics
from ingest.kafka.transactions import TransactionLoop
from ingest.kafka.writers import KafkaSender
from tests.brokers import KafkaBroker

FRAMES, FRAME_BYTES, DECISION_BYTES = 3000, 100_000, 2800
"""A 512 px JPEG, and a decision with its map and sketch."""
ROOM = 64
"""The inference service's queue."""


def measured(broker: KafkaBroker) -> tuple[float, float]:
    """Megabytes a second from the first record to the last commit, and seconds of this process's CPU per frame."""
    kafka = broker.settings()
    create_topics(kafka, give_up_seconds=30)
    frames, decisions = kafka.topic("frames"), kafka.topic("decisions")
    with KafkaSender.open(kafka) as sender:
        for number in range(FRAMES):
            sender.send(Outgoing(frames, b"line/camera", os.urandom(FRAME_BYTES), partition=number % kafka.partitions))
        sender.flush(60)
    answer, done, begun, cpu = bytes(DECISION_BYTES), 0, 0.0, 0.0
    with TransactionLoop.open(kafka, group_id=kafka.group("bench"), reads=[frames], writes=[decisions]) as loop:
        while done < FRAMES:
            records = loop.poll(0.2, room=ROOM)
            if records and not done:
                begun, cpu = time.perf_counter(), time.process_time()
            works = [Work.of(r, (Outgoing(decisions, r.key, answer, partition=r.partition),)) for r in records]
            done += len(loop.commit(works).done)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return FRAMES * FRAME_BYTES / 1e6 / seconds, cpu / FRAMES


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        broker = KafkaBroker(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]), Path(folder)).start()
        try:
            rate, cpu_seconds = measured(broker)
        finally:
            broker.kill()
    print(f"{rate:.0f} MB/s, {1000 * cpu_seconds:.2f} ms of CPU a frame of {FRAME_BYTES / 1e3:.0f} kB")  # noqa: T201
