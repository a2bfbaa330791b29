"""What commands need of a plant: topics on the embedded broker, a store, and what services would have written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.settings import Settings, StoreSettings
from ingest.kafka.records import Outgoing
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.topics import create_topics
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.bank_state import BankState
    from ingest.decision import Decision
    from ingest.kafka.records import Sent

WRITTEN = ("banks", "bank-events", "decisions", "frames")


@dataclass(frozen=True)
class CommandCluster:
    """Topics under a prefix of their own, and a store; `arguments` lead any command there."""

    settings: Settings
    sender: KafkaSender
    store: FsspecStore

    @classmethod
    def opened(cls, bootstrap_servers: str, prefix: str, folder: Path) -> Iterator[CommandCluster]:
        """With all topics, and nothing in them."""
        kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, topic_prefix=prefix)
        settings = Settings(kafka=kafka, store=StoreSettings(url=str(folder / "store")))
        create_topics(kafka, give_up_seconds=30)
        with KafkaSender.open(kafka, writes=tuple(kafka.topic(name) for name in WRITTEN)) as sender:
            yield cls(settings, sender, FsspecStore.open(settings.store.url))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of a command on this cluster, on one core."""
        flags = {
            "kafka.bootstrap_servers": f"'{self.settings.kafka.bootstrap_servers}'",
            "kafka.topic_prefix": f"'{self.settings.kafka.topic_prefix}'",
            "store.url": f"'{self.settings.store.url}'",
            "runtime.provider": "cpu",
            "runtime.threads": "1",
        }
        return tuple(part for name, value in flags.items() for part in ("--set", f"{name}={value}"))

    def publish(self, state: BankState) -> None:
        """A view's state, as its trainer would."""
        self.sender.send_and_wait(Outgoing(self.settings.kafka.topic("banks"), state.view.encode(), state.to_bytes()))

    def decide(self, decision: Decision) -> None:
        """A decision, as the inspection would."""
        topic = self.settings.kafka.topic("decisions")
        self.sender.send_and_wait(Outgoing(topic, decision.view.encode(), decision.to_bytes()))

    def send_frame(self, view: str, encoded: bytes) -> Sent:
        """A frame, as its camera would."""
        return self.sender.send_and_wait(Outgoing(self.settings.kafka.topic("frames"), view.encode(), encoded))
