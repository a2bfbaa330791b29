"""What leaves the trainer: bank states, bank events and consumed offsets, fenced; then, and only then, the windows.

A change of a view is one transaction with the consumed offset of the view's partition, under the claim of that
partition: a trainer that was left behind cannot publish. Indexes are written after such a transaction too, so that it
finds out before it writes over its successor's. The offsets in Kafka only show the lag: reading starts again where the
windows end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ingest.bank_event import BankEventKind
from ingest.kafka.records import Committed, Outgoing, Work
from trainer.owned_views import each_in_turn, show_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ingest.kafka.loop import RereadingLoop
    from ingest.kafka.records import Claim, Partition
    from monitoring.metrics import KafkaMetrics, TrainerMetrics
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.transition import Transition
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Topics:
    """Full names of the topics that the trainer reads and writes."""

    frames: Sequence[str]
    banks: str
    bank_events: str
    commands: str
    feedback: str


class NotOurs(Exception):
    """The view's partition went to another trainer: what was to be published is void."""


class Publisher:
    """The one door to Kafka and to the window indexes for everything that changes."""

    def __init__(
        self,
        loop: RereadingLoop,
        views: OwnedViews,
        windows: WindowStore,
        topics: Topics,
        *,
        metrics: TrainerMetrics,
        kafka_metrics: KafkaMetrics,
    ) -> None:
        self._loop = loop
        self._views = views
        self._windows = windows
        self._topics = topics
        self._metrics = metrics
        self._kafka_metrics = kafka_metrics
        self._flushed: dict[Claim, int] = {}

    def publish(self, view: OwnedView, transition: Transition) -> None:
        """Write a view's new state and its events, and go on with them.

        Raises:
            NotOurs: the view went to another trainer; nothing was written.
            Aborted: nothing was written; every owned view is void.
        """
        claim = self._loop.claims.get(view.index.home_partition)
        if claim is None:
            raise NotOurs(view.name)
        at = self._views.positions.get(view.index.home_partition, 0)
        if self._commit([Work(claim, at, self._records(view, transition))]).void:
            raise NotOurs(view.name)
        for event in transition.events:
            if event.kind is BankEventKind.THRESHOLD_CHANGED:
                self._metrics.limits_changed.labels(view=view.name).inc()
            log.info("bank_event", view=view.name, kind=event.kind.value, who=event.who, why=event.why, **event.facts)
        if transition.state is not None:
            view.published(transition.state)
            show_state(self._metrics, view.state)

    def remove_state(self, view: OwnedView) -> None:
        """Write a tombstone in the place of a view's state. Raises as `publish` does."""
        if not view.announced:
            return
        claim = self._loop.claims.get(view.index.home_partition)
        tombstone = Outgoing(self._topics.banks, view.name.encode(), None)
        at = self._views.positions.get(view.index.home_partition, 0)
        if claim is None or self._commit([Work(claim, at, (tombstone,))]).void:
            raise NotOurs(view.name)

    def flush(self, *, in_use: Callable[[str], bool], confirm: OwnedView | None = None) -> None:
        """Commit the consumed offsets, then make the windows in the store what they are in memory.

        Args:
            in_use: whether a build reads this view's frames: their files stay until it has ended.
            confirm: a view whose claim is to be confirmed even where nothing of it changed.

        Raises:
            Aborted: every owned view is void.
            StoreError: some indexes are still behind; the next flush writes them.
        """
        changed = {
            view.index.home_partition
            for view in self._views
            if view.dirty or view is confirm or (view.to_delete and not in_use(view.name))
        }
        works = [
            Work(claim, at)
            for each, claim in self._loop.claims.items()
            if (at := self._views.positions.get(each, 0)) != self._flushed.get(claim, 0)
            or each in changed  # only a commit shows that it is not ours any more
        ]
        done = self._commit(works).done

        def settle(view: OwnedView) -> None:
            self.save(view)
            if not in_use(view.name):
                self._clear(view)

        try:
            each_in_turn(self._views, settle)
        finally:
            self._save_positions(done)

    def _save_positions(self, done: Iterable[Work]) -> None:
        """A partition one of whose windows is behind is read again from where all its windows are."""
        behind = {each for view in self._views if view.dirty for each in _partitions_of(view)}
        for work in done:
            partition = work.claim.partition
            if partition not in behind:
                self._windows.save_position(partition, work.next_offset)
                self._flushed[work.claim] = work.next_offset

    def read_again(self, view: OwnedView) -> None:
        """Read the view's partitions from the beginning again: no window of another view takes a frame twice.

        Raises StoreError.
        """
        positions = self._views.positions
        for each in sorted(_partitions_of(view) & positions.keys()):
            self._windows.save_position(each, 0)  # first: a restart in between reads more than it needs
            positions[each] = 0
            self._loop.read_again(each)

    def save(self, view: OwnedView) -> None:
        """Write the index of one view, if it changed. Raises StoreError."""
        if view.dirty:
            self._windows.save(view.index)
            view.window_saved()
            self._metrics.window_frames.labels(view=view.name).set(len(view.index.frames))
            self._metrics.window_bytes.labels(view=view.name).set(view.index.size_bytes)

    def _commit(self, works: Sequence[Work]) -> Committed:
        if not works:
            return Committed((), ())
        with self._kafka_metrics.commit_seconds.time():
            committed = self._loop.commit(works)
        self._kafka_metrics.transactions_committed.inc(bool(committed.done))
        return committed

    def _clear(self, view: OwnedView) -> None:
        """Delete what the saved index does not name; a frame that is read again has its name again."""
        self._windows.delete(view.name, view.to_delete - {frame.name for frame in view.index.frames})
        view.files_deleted()

    def _records(self, view: OwnedView, transition: Transition) -> tuple[Outgoing, ...]:
        key = view.name.encode()
        states = [] if transition.state is None else [Outgoing(self._topics.banks, key, transition.state.to_bytes())]
        events = [Outgoing(self._topics.bank_events, key, event.to_bytes()) for event in transition.events]
        return (*states, *events)


def _partitions_of(view: OwnedView) -> set[Partition]:
    """Those that frames of its window came from."""
    return {view.index.home_partition, *view.index.read_through}
