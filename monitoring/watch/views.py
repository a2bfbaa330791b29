"""What is followed: views by their decisions, cameras by their numbers; bounded, and forgotten when silent.

A decision changes one view and nothing else, and counts once however often it is read: by its id. The state of a view
follows from its decisions alone, so that reading the last of them again gives it back.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ingest.sequence_gaps import SequenceGaps
from ingest.view import camera_key
from monitoring.drift.detector import Baseline, DriftState, follow
from monitoring.drift.observation import NotMeasured, observation_of
from monitoring.watch.calibrations import Calibrations, NoCalibration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ingest.decision import BankRef, Decision
    from monitoring.drift.episode import Episode
    from monitoring.watch.settings import WatchSettings


@dataclass(frozen=True)
class Skipped:
    """A decision that drift cannot be measured by: repeated, not_measured or no_calibration.

    `over`: the episode that ends with it, as its bank's calibration cannot be had.
    """

    reason: str
    over: Episode | None = None


@dataclass(frozen=True)
class Followed:
    """A decision that was compared with its bank: the episode of its view before and after it.

    `first`: it is the first one by this bank, so what was known under another is void. `lasted`: for how many frames
    the episode has been known of.
    """

    before: Episode | None
    after: Episode | None
    first: bool
    lasted: int = 0


@dataclass(frozen=True)
class BankDrift:
    """How a view stands under one bank."""

    version: str
    baseline: Baseline
    following: DriftState


@dataclass
class FollowedView:
    """One view, and when its last decision came, by the process's clock; `drift` once a bank decided a frame of it."""

    name: str
    partition: int
    active_at: float
    drift: BankDrift | None = None
    decided_at: float = 0.0
    """When the newest followed frame was decided, in seconds of the epoch."""
    looked_at: float = float("-inf")
    """When its distances were taken last, and below how many frames it had seen then."""
    looked_after: int = 0

    @property
    def episode(self) -> Episode | None:
        """What is wrong with it now, if something is."""
        return None if self.drift is None else self.drift.following.episode


@dataclass
class SeenOffsets:
    """What one partition of `decisions` held lately: decision ids, and each camera's numbers."""

    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    cameras: dict[str, SequenceGaps] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    """Per camera the frames that are missing before its next measured decision."""


class Views:
    """All views of this process's partitions; one thread only."""

    def __init__(self, calibrations: Calibrations, settings: WatchSettings, *, clock: Callable[[], float]) -> None:
        self._calibrations = calibrations
        self._settings = settings
        self._clock = clock
        self._views: OrderedDict[str, FollowedView] = OrderedDict()  # the longest silent one first
        self._partitions: dict[int, SeenOffsets] = {}

    def __iter__(self) -> Iterator[FollowedView]:
        return iter(list(self._views.values()))

    def __len__(self) -> int:
        return len(self._views)

    def opened(self, name: str, partition: int) -> FollowedView:
        """The view of a decision that has just come; a new one opens."""
        view = self._views.setdefault(name, FollowedView(name, partition, self._clock()))
        view.active_at = self._clock()
        self._views.move_to_end(name)
        return view

    def take(self, decision: Decision, view: FollowedView, *, again: bool = False) -> Skipped | Followed:
        """One decision of a view; `again`: it is read again, and its bank is known by now if ever."""
        partition = self._partitions.setdefault(view.partition, SeenOffsets())
        if self._is_repeated(decision, partition):
            return Skipped("repeated")
        camera = camera_key(view.name)
        partition.cameras[camera], just = partition.cameras.get(camera, SequenceGaps()).after(decision, repeated=False)
        missing = partition.missing.pop(camera, 0) + just
        before = view.episode
        try:
            seen = observation_of(decision, missing=missing)
            now = self._drift_by(view, decision, wait=not again)
        except (NotMeasured, NoCalibration) as error:
            if missing:
                partition.missing[camera] = missing
            if isinstance(error, NotMeasured):
                return Skipped("not_measured")
            view.drift = None  # a verdict under another bank says nothing of this one
            return Skipped("no_calibration", over=before)
        limit = self._settings.frames_per_false_alarm
        after = follow(now.following, seen, now.baseline, frames_per_false_alarm=limit)
        view.drift = replace(now, following=after)
        view.decided_at = decision.decided_at.timestamp()
        lasted = 0 if after.episode is None else after.seen - after.episode.noticed
        return Followed(before, after.episode, first=now.following.seen == 0, lasted=lasted)

    def forget(self) -> list[FollowedView]:
        """Give up the views that are silent for too long, and the longest silent ones where there are too many."""
        ends = self._clock() - self._settings.forget_after_seconds
        given_up: list[FollowedView] = []
        while self._views:
            oldest = next(iter(self._views.values()))
            if oldest.active_at > ends and len(self._views) <= self._settings.views:
                break
            given_up.append(oldest)
            self._drop(oldest)
        return given_up

    def revoked(self, partitions: Iterable[int]) -> list[FollowedView]:
        """Drop what belongs to partitions that others follow now."""
        numbers = set(partitions)
        gone = [view for view in self if view.partition in numbers]
        for view in gone:
            self._drop(view)
        for number in numbers:
            self._partitions.pop(number, None)
        return gone

    def _drop(self, view: FollowedView) -> None:
        del self._views[view.name]
        self._calibrations.forget(view.name)
        if view.partition in self._partitions:
            self._partitions[view.partition].cameras.pop(camera_key(view.name), None)
            self._partitions[view.partition].missing.pop(camera_key(view.name), None)

    def _is_repeated(self, decision: Decision, partition: SeenOffsets) -> bool:
        if decision.duplicate_of is not None or decision.id in partition.ids:
            return True
        partition.ids[decision.id] = None
        if len(partition.ids) > self._settings.remembered_decisions:
            partition.ids.popitem(last=False)
        return False

    def _drift_by(self, view: FollowedView, decision: Decision, *, wait: bool) -> BankDrift:
        """The view under this decision's bank, anew where it is another one. Raises NotMeasured, NoCalibration."""
        bank, threshold = decision.bank, decision.threshold
        if bank is None or threshold is None:
            raise NotMeasured(f"decision {decision.id} was made by no bank")
        now = view.drift
        if now is None or now.version != bank.version:
            return self._under(view, bank, threshold, wait=wait)
        if now.baseline.reference.threshold != threshold:
            moved = replace(now.baseline.reference, threshold=threshold)
            return replace(now, baseline=Baseline.of(moved))  # the bets' past stays true: each had its own limit
        return now

    def _under(self, view: FollowedView, bank: BankRef, threshold: float, *, wait: bool) -> BankDrift:
        reference = self._calibrations.reference(view.name, bank.version, threshold=threshold, wait=wait)
        baseline = Baseline.of(reference)
        return BankDrift(bank.version, baseline, DriftState.start(baseline))
