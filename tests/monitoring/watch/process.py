"""One start of the drift service on a partition that a test holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ingest.drift_event import DriftEvent
from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import Aborted
from ingest.kafka.records import Claim, Committed, Outgoing, Partition, Record, Work
from ingest.kafka.transactions import State
from monitoring.health import Heartbeat
from monitoring.metrics import declare_kafka, declare_watch
from monitoring.watch.calibrations import Calibrations
from monitoring.watch.replays import Replays
from monitoring.watch.reporting import DriftReporting
from monitoring.watch.service import Watch
from monitoring.watch.settings import WatchSettings
from monitoring.watch.views import Views
from tests.monitoring.decisions import VIEW
from tests.monitoring.watch.banks_in_store import state_of, state_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.bank_state import BankInForce
    from ingest.store import FsspecStore
    from tests.monitoring.watch.conftest import HandClock

HOME = Partition("decisions", 0)


class HeldPartition:
    """The loop over one partition that is a list; it is sought like Kafka's, and can lose its claims."""

    def __init__(self, log: list[Record]) -> None:
        self.log = log
        self.claims: Mapping[Partition, Claim] = {}
        self.taken_over: str | None = None
        self.committed: int | None = None
        self.aborts = False
        self.state = State.JOINING
        self.at = 0
        self.written: list[Outgoing] = []
        self.replays: Replays | None = None

    @property
    def commands(self) -> list[Outgoing]:
        """What was written to the trainer."""
        return [each for each in self.written if each.topic == "commands"]

    @property
    def drift_events(self) -> list[DriftEvent]:
        """What was written to the history."""
        return [DriftEvent.from_bytes(each.value or b"") for each in self.written if each.topic == "drift-events"]

    def join(self) -> None:
        """The group gives this process the partition."""
        assert self.replays is not None
        tenure = 1 + max((claim.tenure for claim in self.claims.values()), default=0)
        self.at = self.replays.assigned({HOME: self.committed}, Deadline(10))[HOME]
        self.claims, self.state = {HOME: Claim(HOME, tenure)}, State.OWNING

    def poll(self, timeout_seconds: float, *, room: int) -> list[Record]:
        """What is there, under the claim of now."""
        del timeout_seconds
        if self.state is State.JOINING:
            self.join()
        found = self.log[self.at : self.at + room]
        self.at += len(found)
        return [
            Record(r.topic, r.partition, r.offset, 0, "create_time", r.key, r.value, claim=self.claims[HOME])
            for r in found
        ]

    def commit(self, works: Sequence[Work]) -> Committed:
        """Offsets; an abort voids the claims, as Kafka's loop does."""
        if self.aborts:
            self.aborts, self.state = False, State.JOINING
            assert self.replays is not None
            self.replays.revoked(frozenset(self.claims))
            raise Aborted("the broker went away")
        for work in works:
            self.committed = work.next_offset
            self.written += work.outgoing
        return Committed(tuple(works), ())


class Process:
    """One start of the drift service on a partition."""

    def __init__(
        self, loop: HeldPartition, store: FsspecStore, clock: HandClock, bank: BankInForce, **more: object
    ) -> None:
        settings = WatchSettings.model_validate({"commit_seconds": 1, "replay_decisions": 100_000, **more})
        self.registry = CollectorRegistry()
        reporting = DriftReporting(
            declare_watch(self.registry), declare_kafka(self.registry), frames_per_false_alarm=100_000
        )
        calibrations = Calibrations(
            store, read_banks=self.waited, retry_seconds=10, clock=clock, on_read=reporting.calibrated
        )
        calibrations.take([state_record(state_of(bank))])
        views = Views(calibrations, settings, clock=clock)
        replays = loop.replays = Replays(
            views, reporting, ends=lambda: {HOME: len(loop.log)}, replay_decisions=settings.replay_decisions
        )
        self.clock = clock
        self.calibrations = calibrations
        self.loop = loop
        self.heartbeat = Heartbeat(limit_seconds=60, clock=clock)
        self.watch = Watch(
            loop,
            views,
            replays,
            follow_banks=lambda: calibrations.take([]),
            commands_topic="commands",
            events_topic="drift-events",
            settings=settings,
            reporting=reporting,
            heartbeat=self.heartbeat,
            clock=clock,
        )

    def waited(self) -> list[Record]:
        """The topic `banks`, quiet for a second."""
        self.clock.seconds += 1
        return []

    def until_read(self) -> None:
        """Go round until everything is read, shown and committed."""
        for _ in range(len(self.loop.log) // 500 + 3):
            self.clock.seconds += 2
            self.watch.round()

    def value(self, name: str, **labels: str) -> float | None:
        """A sample of the view's."""
        return self.registry.get_sample_value(name, {"view": VIEW, **labels})

    def verdicts(self) -> list[str]:
        """The verdicts that stand at 1."""
        found = [
            sample
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "patchline_drift_verdict"
        ]
        return [sample.labels["verdict"] for sample in found if sample.value == 1]
