"""What a replay needs, from Kafka and the store: records, recorded decisions, and the banks and limits of then."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from deploy.claimed_pictures import claims_of
from deploy.errors import CommandFailed, UsageError
from deploy.history.decision_reader import decisions_of
from deploy.history.named_frame import CLOCKS, record_named
from deploy.history.replay import Replay, as_recorded
from deploy.wiring import embedder_of
from inference.banks import BankLoader, BankRefused, Serving
from inference.decide import InForce, Limits, NoBank
from inference.scoring import FrameScoring
from ingest.bank_state import BankInForce, BankState
from ingest.contract import BadMessage
from ingest.decision import Reason
from ingest.decoding import FrameDecoder
from ingest.kafka.readers import WholeTopicReader
from ingest.store import FsspecStore, StoreError
from ingest.store_layout import bank_path
from ingest.view import camera_key
from softpatch.scoring.bounded_search import cpu_search
from trainer.threshold_settings import undecided_band_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deploy.settings import Settings
    from inference.banks import BankStatus
    from ingest.contract import SourceRecord
    from ingest.decision import Decision
    from ingest.kafka.records import Record

READ_SECONDS = 120.0
BEFORE = 200
"""Records before the first that are inspected along: more than any rule of the inspection looks back."""


@dataclass(frozen=True)
class OffsetSpan:
    """Offsets of one partition of frames, the last included."""

    first: SourceRecord
    last: int


def span_of(start: str, end: str, *, topics: Sequence[str]) -> OffsetSpan:
    """From two names as [TOPIC:]PARTITION:OFFSET; of the first topic of frames without. Raises UsageError."""
    places = []
    for name in (start, end):
        place = record_named(name, topics=topics)
        if place is None:
            raise UsageError(f"{name} is no record: write PARTITION:OFFSET, as patchline decisions shows it")
        places.append(place)
    first, last = places
    if first.topic_partition != last.topic_partition:
        raise UsageError(f"{start} and {end} lie in two partitions; a view's frames lie in one")
    if last.offset < first.offset:
        raise UsageError(f"{end} comes before {start}")
    return OffsetSpan(first, last.offset)


@dataclass(frozen=True)
class RecordedSpan:
    """The view's records of a span and those before it, and its recorded decisions by offset."""

    records: list[Record]
    decisions: dict[int, Decision]


def recorded_span(settings: Settings, view: str, span: OffsetSpan) -> RecordedSpan:
    """Read both. Raises CommandFailed where Kafka has none of these frames any more, KafkaFailure."""
    at, first = span.first.topic_partition, span.first.offset
    start = max(0, first - BEFORE)
    records: list[Record] = []
    with WholeTopicReader.open(
        settings.kafka,
        topics=[at.topic],
        only=[at],
        starts={at: start},
        give_up_seconds=settings.kafka.give_up_seconds,
    ) as reader:
        for record in reader.stream_to_end(READ_SECONDS):
            if record.offset > span.last:
                break
            if record.offset >= start and record.key == camera_key(view).encode():
                records.append(record)
    wanted = [each for each in records if each.offset >= first]
    if not wanted:
        begin = span.first.short(settings.kafka.topic("frames"))
        raise CommandFailed(f"Kafka has no frame of {view} from {begin} to {span.last}: they expired, or never were")
    since = datetime.fromtimestamp(min(each.timestamp_ms for each in records) / 1000, UTC) - CLOCKS
    decisions = {
        each.source.offset: each
        for each in decisions_of(settings.kafka, view, since=since)
        if each.source.topic_partition == at and start <= each.source.offset <= span.last
    }
    return RecordedSpan(records, decisions)


class BanksOfThen:
    """The bank that each recorded decision names, with the limits that were in force; each file is loaded once."""

    def __init__(self, settings: Settings, view: str, loader: BankLoader) -> None:
        self._view = view
        self._loader = loader
        self._loaded: dict[str, BankStatus] = {}
        states = _states_of(settings, view)
        self._states = {each.epoch: each for each in states}
        training = settings.training_of(view)
        self._bands = {each.epoch: undecided_band_of(each, training) for each in states}
        self._band = undecided_band_of(states[-1], training) if states else training.undecided_band
        self.graph_hash = loader.graph_hash

    def then(self, recorded: Decision) -> BankStatus:
        """What decided a frame; a band of an epoch that Kafka has compacted away is that of now."""
        if recorded.bank is None:
            return NoBank(Reason.BANK_REFUSED if recorded.reason is Reason.BANK_REFUSED else Reason.LEARNING)
        loaded = self.loaded(recorded.bank.version)
        if isinstance(loaded, NoBank):
            return loaded
        epoch = recorded.bank.epoch
        return as_recorded(loaded, recorded, band=self._bands.get(epoch, self._band), epoch=epoch)

    def loaded(self, version: str) -> BankStatus:
        """A bank by its version with the threshold it suggests. Raises CommandFailed where it cannot be used here."""
        if version not in self._loaded:
            uri = bank_path(self._view, version)
            wanted = BankInForce(version=version, uri=uri, graph_hash=self.graph_hash, threshold=1.0)
            try:
                bank, scorer, baseline, no_part = self._loader.load(self._view, wanted)
            except (BankRefused, StoreError) as error:
                raise CommandFailed(f"bank {version[:12]} cannot be used here: {error}") from error
            value = bank.manifest.threshold.value
            in_force = InForce(version, 0, Limits(value, value, value), provisional=False)
            self._loaded[version] = Serving(in_force, bank, scorer, baseline, no_part)
        return self._loaded[version]


def _states_of(settings: Settings, view: str) -> list[BankState]:
    """The states of a view that Kafka has not compacted away, in order."""
    kafka, states = settings.kafka, []
    topic = kafka.topic("banks")
    with WholeTopicReader.open(kafka, topics=[topic], give_up_seconds=kafka.give_up_seconds) as reader:
        for record in reader.read_to_end(READ_SECONDS):
            if record.key == view.encode() and record.value:
                try:
                    states.append(BankState.from_bytes(record.value))
                except BadMessage:
                    continue
    return states


@contextmanager
def opened_replay(settings: Settings, view: str, *, bank: str | None) -> Iterator[Replay]:
    """A replay of a view's decisions by the banks of then, or by that one (a version)."""
    embedder = embedder_of(settings.runtime)
    loader = BankLoader(
        FsspecStore.open(settings.store.url), embedder, partial(cpu_search, threads=settings.runtime.threads)
    )
    banks = BanksOfThen(settings, view, loader)
    serving_of: Callable[[Decision], BankStatus] = banks.then if bank is None else lambda _: banks.loaded(bank)
    clock = time.monotonic
    with ThreadPoolExecutor(1, "decode") as pool, FrameDecoder(settings.images, workers=1, clock=clock) as decoder:
        scoring = FrameScoring(embedder, pool=pool, decoder=decoder, claims=claims_of(settings), clock=clock)
        yield Replay(
            scoring,
            first_topic=settings.kafka.topic("frames"),
            serving_of=serving_of,
            inspection_of=settings.inspection_of,
            clock=clock,
            what_if=bank is not None,
        )
