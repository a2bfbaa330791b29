"""How long a new line waits for its first verdict: `python -m tests.bench.first_verdict [TRIALS]`.

From the broker's taking of the 30th frame to the first decision by a bank, on a line that runs at 15 frames/s, with no
setting but ports and the store's place. Prints seconds, and of which the build. The Kafka that it starts is the one of
PATCHLINE_TEST_KAFKA_HOME.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ingest.bank_event import BankEvent, BankEventKind
from ingest.kafka.readers import WholeTopicReader
from tests.brokers import KafkaBroker
from tests.e2e.services import Answers, Services

if TYPE_CHECKING:
    from ingest.kafka.settings import KafkaSettings

VIEW = "line-1/camera-1"
FIRST = 30


def waited(services: Services) -> float:
    """Seconds from the 30th frame to the first decision by a bank."""
    services.run("topics", "create")
    for name in ("train", "inspect"):
        services.until_ready(services.start(name))
    with Answers(services.kafka) as answers:
        services.start("camera", VIEW, "--simulate", "ring", "--rate", "15")
        while not any(each.bank for each in answers.decisions):
            answers.read()
    in_order = sorted(answers.decisions, key=lambda each: each.source.offset)
    first = next(each for each in in_order if each.bank)
    return (first.decided_at - in_order[FIRST - 1].appended_at).total_seconds()


def build_seconds(kafka: KafkaSettings) -> float:
    """Of the first build, as its event tells."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic("bank-events")]) as reader:
        events = [BankEvent.from_bytes(each.value or b"") for each in reader.read_to_end(60)]
    return float(next(each.facts["build_seconds"] for each in events if each.kind is BankEventKind.BUILT))


def main(trials: str = "3") -> None:
    """Run the trials, one after the other, each on topics and a store of its own."""
    with TemporaryDirectory() as folder:
        broker = KafkaBroker(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]), Path(folder) / "kafka").start()
        try:
            for trial in range(int(trials)):
                home = Path(folder) / str(trial)
                home.mkdir()
                with Services(home, broker.settings(), over={"runtime": {"provider": "auto"}}) as services:
                    seconds = waited(services)
                    result = f"first verdict after {seconds:.1f} s, build {build_seconds(services.kafka):.1f} s"
                print(result, f"load {os.getloadavg()[0]:.1f}", flush=True)  # noqa: T201 -- this is what it is for
        finally:
            broker.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
