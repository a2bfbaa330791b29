"""The views this process owns: the owner of the partition that a view's frames come from trains it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from ingest.bank_state import ViewState
from ingest.store import StoreError
from monitoring.metrics import close_view, open_view, set_groups, set_state
from trainer.build_policy import opened, reopened
from trainer.set_aside import NotTaken
from trainer.window import Bounds, Change, WindowIndex, read_anew, shrunk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from ingest.bank_state import BankState
    from ingest.kafka.connecting import Deadline
    from ingest.kafka.records import Partition
    from monitoring.metrics import TrainerMetrics
    from trainer.settings import ViewTraining
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)


def show_state(metrics: TrainerMetrics, state: BankState) -> None:
    """Put what a bank state says into the metrics of its view."""
    set_state(metrics, state.view, state.state.value)
    groups = (each for each in state.annotations if each.origin == "group")
    set_groups(metrics, state.view, Counter(each.label.value for each in groups))


def each_in_turn(views: Iterable[OwnedView], work: Callable[[OwnedView], None]) -> None:
    """Do something for every view: where it fails for one, the others have their turn before that is raised."""
    failure: Exception | None = None
    for view in views:
        try:
            work(view)
        except (StoreError, NotTaken, OSError) as error:
            failure = failure or error
    if failure is not None:
        raise failure


class OwnedView:
    """One view of this process; only its methods change it."""

    def __init__(
        self,
        name: str,
        training: ViewTraining,
        index: WindowIndex,
        state: BankState,
        *,
        announced: bool,
        is_new: bool = False,
    ) -> None:
        """`announced`: its state stands in `banks`; `is_new`: the store had no window of it."""
        self._is_new = is_new
        self.name = name
        self.training = training
        self._index = index
        self._state = state
        self._announced = announced
        self._dirty = False
        self._to_delete: set[str] = set()
        self._dated: str | None = None
        self._bank_checked_at: float | None = None
        self._heard_at: float | None = None

    @property
    def is_new(self) -> bool:
        """Whether the store had no window of it when it opened, and nobody has looked since."""
        return self._is_new

    def known_to_be_ours(self) -> None:
        """The store's window of it was looked at."""
        self._is_new = False

    @property
    def heard_at(self) -> float | None:
        """When its last frame came, by the trainer's clock; None where none has come since it was opened here."""
        return self._heard_at

    def heard(self, at: float) -> None:
        """A frame of it came, or its silence begins to count."""
        self._heard_at = at

    @property
    def index(self) -> WindowIndex:
        """Its window, as it is in memory."""
        return self._index

    @property
    def dirty(self) -> bool:
        """Whether the index in the store is behind."""
        return self._dirty

    @property
    def state(self) -> BankState:
        """Its bank state, as last published."""
        return self._state

    @property
    def announced(self) -> bool:
        """Whether its state stands in `banks`."""
        return self._announced

    @property
    def to_delete(self) -> frozenset[str]:
        """Names of files that go once the saved index does not name them and no build reads them."""
        return frozenset(self._to_delete)

    @property
    def dated(self) -> str | None:
        """The bank in force whose age the metrics show."""
        return self._dated

    @property
    def bank_checked_at(self) -> float | None:
        """When the store was last asked for the bank in force, by the trainer's clock."""
        return self._bank_checked_at

    @property
    def bounds(self) -> Bounds:
        """How much its window may hold."""
        training = self.training
        return Bounds(training.window_frames, training.window_bytes, training.window_span_frames)

    def change_window(self, change: Change | WindowIndex) -> None:
        """Go on with another index; the next flush writes it."""
        if isinstance(change, WindowIndex):
            change = Change(change)
        self._index = change.index
        self._to_delete.update(frame.name for frame in change.delete)
        self._dirty = True

    def window_saved(self) -> None:
        """The index in the store is the one in memory."""
        self._dirty = False

    def found_files(self, names: Iterable[str]) -> None:
        """Its folder holds files that its index does not name."""
        self._to_delete.update(names)

    def files_deleted(self) -> None:
        """The files in `to_delete` are gone."""
        self._to_delete.clear()

    def published(self, state: BankState) -> None:
        """`banks` holds this state."""
        self._state = state
        self._announced = True

    def age_shown(self, version: str) -> None:
        """The metrics show the age of this bank."""
        self._dated = version

    def bank_checked(self, at: float) -> None:
        """The store was asked for the bank in force."""
        self._bank_checked_at = at


HOME_SECONDS = 3600.0
"""A view whose window took no frame of its partition for so long has moved: whoever reads its frames now learns it."""
LOOK_AGAIN_SECONDS = 60.0
"""Between two looks at the window of a view that another trainer learns."""


class TooManyViews(Exception):
    """There is no room for one more view without a bank."""


class LearntElsewhere(Exception):
    """The view lies in several partitions, and the trainer of another one learns it."""


class OwnedViews:
    """The views of this process's partitions: read after a partition came, dropped when it goes."""

    def __init__(
        self,
        *,
        topics: Collection[str],
        windows: WindowStore,
        training_of: Callable[[str], ViewTraining],
        read_states: Callable[[], Mapping[str, BankState]],
        ends: Callable[[], Mapping[Partition, int]],
        metrics: TrainerMetrics,
        now: Callable[[], datetime],
        max_views: int,
    ) -> None:
        """Own nothing yet.

        Args:
            topics: full names of the topics of frames.
            windows: the windows on the store.
            training_of: the settings of a view.
            read_states: reads `banks` whole.
            ends: where the partitions of frames end now.
            metrics: the trainer's.
            now: the wall clock.
            max_views: owned at most; further ones open only where they have a bank.
        """
        self._max_views = max_views
        self._topics = topics
        self._windows = windows
        self._training_of = training_of
        self._read_states = read_states
        self._ends = ends
        self._metrics = metrics
        self._now = now
        self._states: Mapping[str, BankState] = {}
        self._views: dict[str, OwnedView] = {}
        self._unread: set[str] = set()
        self._elsewhere_until_ms: dict[str, int] = {}
        self._ends_then: Mapping[Partition, int] = {}
        self.positions: dict[Partition, int] = {}
        """Per owned partition, the first offset that is not yet in the windows (in memory)."""

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:  # noqa: ARG002 -- the Protocol's
        """Own the views of these partitions; reading starts where their windows end. Raises StoreError.

        No window is read here: a rebalance waits for us. They are read one by one afterwards (`read_on`), and each at
        the latest when something of its view arrives.
        """
        self._states = self._read_states()
        self._ends_then = self._ends()
        self._elsewhere_until_ms.clear()
        starts = {each: self._start(each, self._ends_then.get(each)) for each in partitions}
        self._unread = {name for name in self._windows.views() if name not in self._views}
        self.positions.update(starts)
        return starts

    def read_on(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Read windows of owned views that have not been read yet, for about so long. Raises StoreError, NewerIndex."""
        ends = clock() + seconds
        while self._unread and clock() < ends:
            self._read(next(iter(self._unread)))

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Drop the views of these partitions: another trainer owns them now."""
        for view in [view for view in self._views.values() if view.index.home_partition in partitions]:
            del self._views[view.name]
            close_view(self._metrics, view.name)
        for each in partitions:
            self.positions.pop(each, None)

    def opened(self, name: str, *, partition: Partition, at_ms: int) -> OwnedView:
        """The view of a frame from a partition, appended then; one that was never seen opens.

        Raises:
            TooManyViews: there is no room for it.
            LearntElsewhere: senders with different partitioners, or to different topics, put its frames on several
                partitions.
        """
        found = self.get(name)
        if found is not None:
            return found
        if at_ms < self._elsewhere_until_ms.get(name, 0):
            raise LearntElsewhere(name)
        known = self._states.get(name)
        if len(self._views) + len(self._unread) >= self._max_views and (known is None or known.active is None):
            raise TooManyViews(name)
        stored = self._windows.load(name)
        if stored is None or stored.home_partition.topic not in self._topics:
            index = WindowIndex(view=name, topic=partition.topic, home=partition.partition)
            return self._add(index, is_new=True)
        if stored.home_partition not in self.positions and _alive(stored, at_ms):
            self._elsewhere_until_ms[name] = at_ms + int(LOOK_AGAIN_SECONDS * 1000)
            raise LearntElsewhere(name)
        return self._add(stored)

    def confirm(self, view: OwnedView) -> bool:
        """Whether a view that opened here as new is ours alone; else it is dropped, for whoever wrote its window last.

        Two trainers whose partitions both hold frames of a new view open it at once. Raises StoreError.
        """
        if view.is_new:
            stored = self._windows.load(view.name)
            view.known_to_be_ours()
            home = None if stored is None else stored.home_partition
            if home is not None and home.topic in self._topics and home not in self.positions:
                self.drop(view.name)
                return False
        return True

    def drop(self, name: str) -> None:
        """Own a view no more: it has ended."""
        view = self._views.pop(name, None)
        if view is not None and view.state.state is ViewState.RETIRED:
            self._states = {**self._states, name: view.state}
        else:
            self._states = {each: state for each, state in self._states.items() if each != name}
        self._windows.let_go(name)
        close_view(self._metrics, name)

    def get(self, name: str) -> OwnedView | None:
        """The view of this name if it is ours, else None. Raises StoreError, NewerIndex where it had to be read."""
        if name in self._unread:
            self._read(name)
        return self._views.get(name)

    def _read(self, name: str) -> None:
        """Load a window that was in the store when partitions came; what is not ours is left alone."""
        index = self._windows.load(name)
        known = self._states.get(name)
        if known is not None and known.state is ViewState.RETIRED:
            log.info("window_of_retired_view", view=name)  # the trainer died while it removed it
        elif index is not None and index.home_partition in self.positions:
            self._load(index, self._ends_then)
        self._unread.discard(name)

    def __iter__(self) -> Iterator[OwnedView]:
        return iter(list(self._views.values()))

    def _load(self, index: WindowIndex, ends: Mapping[Partition, int]) -> None:
        recreated = any(offset > ends.get(each, offset) for each, offset in index.read_through.items())
        view = self._add(self._windows.complete(index))
        view.found_files(self._windows.unnamed_files(index))
        if recreated:
            log.warning("topic_recreated", view=view.name, detail="frames end before the window does: learning anew")
            view.change_window(read_anew(view.index))
        else:
            view.change_window(shrunk(view.index, view.bounds))

    def _add(self, index: WindowIndex, *, is_new: bool = False) -> OwnedView:
        known = self._states.get(index.view)
        state = known or opened(index.view, at=self._now())
        announced = known is not None
        if state.state is ViewState.RETIRED:
            state, announced = reopened(state, at=self._now()), False
        view = OwnedView(index.view, self._training_of(index.view), index, state, announced=announced, is_new=is_new)
        self._views[view.name] = view
        open_view(self._metrics, view.name)
        show_state(self._metrics, state)
        return view

    def _start(self, partition: Partition, end: int | None) -> int:
        position = self._windows.position(partition)
        return position if end is None or position <= end else 0


def _alive(index: WindowIndex, at_ms: int) -> bool:
    """Whether the window took a frame shortly before this time, by the broker's clock."""
    return bool(index.frames) and at_ms - max(each.appended_ms for each in index.frames) < HOME_SECONDS * 1000
