"""The views this process owns: who owns the partition that a view's frames come from is the one that teaches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ingest.kafka.records import Partition
from monitoring.metrics import close_view, open_view, set_state
from trainer.build_policy import opened
from trainer.window import Bounds, WindowIndex, forgotten, shrunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from ingest.bank_state import BankState
    from ingest.kafka.connecting import Deadline
    from monitoring.metrics import TrainerMetrics
    from trainer.settings import ViewTraining
    from trainer.window import Change, KeptFrame
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)


@dataclass
class OwnedView:
    """One view in this process's hands."""

    name: str
    training: ViewTraining
    index: WindowIndex
    state: BankState
    announced: bool
    """Whether its state stands in `banks`."""
    dirty: bool = False
    """Whether the index in the store is behind."""
    dated: str | None = None
    """The bank in force whose age the metrics show."""
    doomed: list[KeptFrame] = field(default_factory=list)
    """Frames whose files go once the saved index no longer names them and no build reads them."""

    @property
    def bounds(self) -> Bounds:
        """How much its window may hold."""
        said = self.training
        return Bounds(said.window_frames, said.window_bytes, said.window_span_frames)

    def take(self, change: Change) -> None:
        """Go on with a new index; its file is written at the next flush."""
        self.index = change.index
        self.doomed.extend(change.delete)
        self.dirty = True


class OwnedViews:
    """Which views are ours. The transaction loop says which partitions come and go; we load and drop their views."""

    def __init__(
        self,
        *,
        topic: str,
        windows: WindowStore,
        training_of: Callable[[str], ViewTraining],
        read_states: Callable[[], Mapping[str, BankState]],
        ends: Callable[[], Mapping[Partition, int]],
        in_use: Callable[[str], bool],
        metrics: TrainerMetrics,
        now: Callable[[], datetime],
    ) -> None:
        """Hold nothing yet.

        Args:
            topic: full name of the topic of frames.
            windows: the windows on the store.
            training_of: the settings of a view.
            read_states: reads `banks` whole.
            ends: where the partitions of `frames` end now.
            in_use: whether a build reads a view's frames: their files stay.
            metrics: the trainer's.
            now: the clock on the wall.
        """
        self._topic = topic
        self._windows = windows
        self._training_of = training_of
        self._read_states = read_states
        self._ends = ends
        self._in_use = in_use
        self._metrics = metrics
        self._now = now
        self._states: Mapping[str, BankState] = {}
        self._views: dict[str, OwnedView] = {}
        self.positions: dict[int, int] = {}
        """Per owned partition, the first offset that is not yet in the windows (in memory)."""

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:  # noqa: ARG002 -- the Protocol's
        """Load the views of these partitions; reading starts where their windows end. Raises StoreError."""
        self._states = self._read_states()
        ends = self._ends()
        starts = {each: self._start(each, ends.get(each)) for each in partitions}
        numbers = {each.partition for each in partitions}
        for index in self._windows.load_all(self._topic):
            if index.home in numbers:
                self._load(index, ends)
        self.positions.update({each.partition: start for each, start in starts.items()})
        return starts

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Drop the views of these partitions: somebody else teaches them now."""
        numbers = {each.partition for each in partitions}
        for view in [view for view in self._views.values() if view.index.home in numbers]:
            del self._views[view.name]
            close_view(self._metrics, view.name)
        for number in numbers:
            self.positions.pop(number, None)

    def view(self, name: str, *, partition: int) -> OwnedView:
        """A view by its name; one that was never seen opens."""
        found = self._views.get(name)
        if found is not None:
            return found
        stored = self._windows.load(name)
        if stored is None or stored.topic != self._topic:
            stored = WindowIndex(view=name, topic=self._topic, home=partition)
        return self._hold(stored)

    def held(self, name: str) -> OwnedView | None:
        """A view that is ours, or None."""
        return self._views.get(name)

    def __iter__(self) -> Iterator[OwnedView]:
        return iter(list(self._views.values()))

    def _load(self, index: WindowIndex, ends: Mapping[Partition, int]) -> None:
        swept = self._windows.complete(index) if self._in_use(index.view) else self._windows.swept(index)
        recreated = any(
            offset > ends.get(Partition(self._topic, each), offset) for each, offset in index.next_offsets.items()
        )
        view = self._hold(swept)
        if recreated:
            log.warning("topic_recreated", view=view.name, detail="frames end before the window does: learning anew")
            view.take(forgotten(view.index))
            view.index = view.index.model_copy(update={"next_offsets": {}})
        else:
            view.take(shrunk(view.index, view.bounds))

    def _hold(self, index: WindowIndex) -> OwnedView:
        known = self._states.get(index.view)
        state = known or opened(index.view, at=self._now())
        view = OwnedView(index.view, self._training_of(index.view), index, state, announced=known is not None)
        self._views[view.name] = view
        open_view(self._metrics, view.name)
        set_state(self._metrics, view.name, state.state.value)
        return view

    def _start(self, partition: Partition, end: int | None) -> int:
        position = self._windows.position(self._topic, partition.partition)
        return position if end is None or position <= end else 0
