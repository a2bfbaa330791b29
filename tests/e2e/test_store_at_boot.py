"""A store that is not there yet when the services start, as a share that is mounted last after a power cut."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from ingest.decision import Verdict
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.e2e.services import Answers, Services, wait_until
from tests.inference.sample_bank import VIEW, jpeg, sample_bank, state, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


def sentence(port: int) -> str:
    """What /readyz says, well or not."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            return str(answer.read().decode())
    except HTTPError as refused:
        return refused.read().decode()
    except OSError:
        return ""


def test_services_wait_for_a_store_and_then_decide(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """They live meanwhile and say what they wait for; a frame that came before is decided by its bank."""
    away, mount = tmp_path / "away", tmp_path / "mount"
    over = {
        "store": {"url": str(mount / "store")},
        "views": {"*": {"deadline_seconds": 600}},
        "inference": {"metrics_port": 0},
    }
    kafka = kafka_broker.settings(partitions=1)
    with Services(tmp_path, kafka, over=over) as services:
        over["inference"] = {"metrics_port": services.inspect_port, "bank_retry_seconds": 0.5}
        over["trainer"] = {"metrics_port": services.train_port, "retry_seconds": 0.5}
        services.run("topics", "create")
        bank = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))
        in_force = stored(FsspecStore.open(str(away / "store")), bank).in_force
        mount.write_bytes(b"")  # nothing can be read or written below a file
        with KafkaSender.open(kafka) as sender:
            sender.send_and_wait(Outgoing(kafka.topic("banks"), VIEW.encode(), state(in_force).to_bytes()), 30)
            sender.send_and_wait(Outgoing(kafka.topic("frames"), VIEW.encode(), jpeg(0)), 30)
        inspect, train = services.start("inspect"), services.start("train")
        wait_until(lambda: "the store does not answer" in sentence(services.inspect_port), "the inspection waiting")
        wait_until(lambda: "event=will_try_again" in train.logged, "the trainer waiting")
        assert "Not ready" in sentence(services.train_port)
        mount.unlink()
        away.rename(mount)
        services.until_ready(inspect)
        services.until_ready(train)
        with Answers(kafka) as answers:
            wait_until(lambda: answers.read() == 1, "the frame's decision")
            assert [each.verdict for each in answers.decisions] == [Verdict.PASS]
        wait_until((mount / "store" / "windows").is_dir, "the trainer's window")
        assert (inspect.stop(), train.stop()) == (0, 0)
