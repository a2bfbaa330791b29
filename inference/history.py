"""What the service remembers of the frames before this one: repeats, gaps, changes, dead letters, and how many fail.

The memory is per partition and in offset order. A transaction that aborts makes the loop read records again; they are
recognised by their offset and change nothing. A partition that comes back after another process worked on it has a new
tenure that starts further on: its frame ids stay valid, those that the others decided are recovered from their
decisions (inference.assignment), and the frame before is unknown. A replayed frame has no place in the camera's order:
it is compared with none, and none with it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inference.line_change import RecentFrames
from ingest.sequence_gaps import SequenceGaps
from ingest.view import camera_key
from softpatch.images.input_faults import FrozenRun

if TYPE_CHECKING:
    from inference.decide import Seen
    from inference.line_change import ChangedPlace, ScoredBy, ScoredFrame
    from inference.settings import ViewInspection
    from ingest.contract import SourceRecord
    from ingest.frame import Frame
    from ingest.kafka.records import Partition
    from softpatch.images.input_faults import InputBaseline

FrameIds = dict[tuple[str, str], int]
"""View and frame id to the offset of the first record, in the order they were decided."""


@dataclass(frozen=True)
class Recalled:
    """What the frames before it show of one frame."""

    change_bits: int | None
    """Bits of the difference hash that changed since the view's previous frame; None for the first, or a re-read."""
    duplicate_of: SourceRecord | None
    missing_frames: int
    """Sequence numbers left out since the camera's previous frame: frames lost before Kafka."""
    dead_letters_over_cap: bool
    frozen: bool = False
    """Whether this frame and those just before it show the same instant."""


@dataclass
class _PartitionHistory:
    tenure: int
    read_through: int = -1
    """The highest offset seen: what comes at or below it is read again."""
    frame_ids: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    hashes: dict[str, int] = field(default_factory=dict)
    frozen_runs: dict[str, FrozenRun] = field(default_factory=dict)
    frozen: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Offsets of frozen frames: read again, they are still frozen, whatever the camera showed after them."""
    sequences: dict[str, SequenceGaps] = field(default_factory=dict)
    outcomes: dict[str, deque[bool]] = field(default_factory=dict)
    """Per view, whether each of its last records was a dead letter."""
    decided_through: int = -1
    """The highest offset of a frame that counted, or not, as one of the last scored of its view."""
    recent: dict[str, RecentFrames] = field(default_factory=dict)
    """Per view, its last scored frames."""
    changed_places: OrderedDict[int, tuple[ScoredBy, ChangedPlace]] = field(default_factory=OrderedDict)
    """By the offset of a frame while whose line had changed, where: read again, the same is said of it."""


class History:
    """The memory of the partitions this process owns; used by one thread, but for `reaches` and `recover`."""

    def __init__(self, *, remembered_frame_ids: int) -> None:
        self._remembered = remembered_frame_ids
        self._partitions: dict[Partition, _PartitionHistory] = {}
        self._recovered: dict[Partition, FrameIds] = {}

    def reaches(self, partition: Partition, offset: int) -> bool:
        """Whether the memory of a partition goes up to this offset, which is the next to decide; from any thread."""
        past = self._partitions.get(partition)
        return offset == 0 or (past is not None and past.read_through + 1 >= offset)

    def recover(self, partition: Partition, frame_ids: FrameIds) -> None:
        """Give back what others decided; from any thread, before the partition's next record is remembered."""
        self._recovered[partition] = frame_ids

    def frame(
        self, frame: Frame, seen: Seen, baseline: InputBaseline, inspection: ViewInspection, *, tenure: int
    ) -> Recalled:
        """Remember a frame that could be decoded, and return what the frames before it show of it."""
        past = self._past(frame.source, tenure)
        again = not _advance(past, frame.source.offset)
        duplicate = self._duplicate(past, frame)
        if again:
            return Recalled(
                change_bits=None,
                duplicate_of=duplicate,
                missing_frames=0,
                dead_letters_over_cap=_over_cap(past, frame.view, inspection),
                frozen=frame.source.offset in past.frozen,
            )
        _remember_outcome(past, frame.view, inspection, dead=False)
        if frame.replay_of is not None:
            return Recalled(None, duplicate, 0, _over_cap(past, frame.view, inspection))
        before = past.hashes.get(frame.view)
        past.hashes[frame.view] = seen.difference_hash
        run = past.frozen_runs.get(frame.view, FrozenRun()).after(seen.thumbnail, baseline)
        past.frozen_runs[frame.view] = run
        frozen = run.frozen(inspection.frozen_frames)
        if frozen:
            past.frozen[frame.source.offset] = None
            self._forget(past)
        return Recalled(
            change_bits=None if before is None else (before ^ seen.difference_hash).bit_count(),
            duplicate_of=duplicate,
            missing_frames=_missing(past, frame, repeated=duplicate is not None),
            dead_letters_over_cap=_over_cap(past, frame.view, inspection),
            frozen=frozen,
        )

    def line_change(
        self, frame: Frame, scored: ScoredFrame | None, scored_by: ScoredBy, inspection: ViewInspection
    ) -> ChangedPlace | None:
        """Remember how a frame was scored, and return where the line has changed; None while it is as it was.

        Call it after `frame`, of the same frame; `scored` is None for one that does not count. A line that has changed
        says nothing of a replayed frame, and a process that takes a view over begins to count anew.
        """
        past = self._partitions[frame.source.topic_partition]
        offset = frame.source.offset
        if offset <= past.decided_through:
            by, place = past.changed_places.get(offset, (scored_by, None))
            return place if by == scored_by else None
        past.decided_through = offset
        if frame.replay_of is not None or not inspection.line_changed_frames:
            return None
        recent = _recent(past, frame.view, scored_by)
        recent = past.recent[frame.view] = recent if scored is None else recent.after(scored, inspection)
        place = recent.place
        if place is not None:
            past.changed_places[offset] = scored_by, place
            self._forget(past)
        return place

    def dead_letter(self, source: SourceRecord, view: str, inspection: ViewInspection, *, tenure: int) -> None:
        """Remember a record of this view that could not be decided."""
        past = self._past(source, tenure)
        if _advance(past, source.offset):
            _remember_outcome(past, view, inspection, dead=True)

    def forget(self, views: frozenset[str]) -> None:
        """Remember no more of these views than which frame ids they had."""
        if not views:
            return
        cameras = {camera_key(view) for view in views}
        for past in self._partitions.values():
            for by_view in (past.hashes, past.frozen_runs, past.outcomes, past.recent):
                for view in views & by_view.keys():
                    del by_view[view]
            for camera in cameras & past.sequences.keys():
                del past.sequences[camera]

    def _past(self, source: SourceRecord, tenure: int) -> _PartitionHistory:
        past = self._partitions.setdefault(source.topic_partition, _PartitionHistory(tenure))
        if past.tenure != tenure and source.offset > past.read_through + 1:
            past = self._partitions[source.topic_partition] = _PartitionHistory(tenure, frame_ids=past.frame_ids)
        past.tenure = tenure
        recovered = self._recovered.pop(source.topic_partition, None)
        if recovered is not None:
            past.frame_ids |= recovered
            self._forget(past)
        return past

    def _forget(self, past: _PartitionHistory) -> None:
        for names in (past.frame_ids, past.frozen, past.changed_places):
            while len(names) > self._remembered:
                names.popitem(last=False)

    def _duplicate(self, past: _PartitionHistory, frame: Frame) -> SourceRecord | None:
        name, offset = (frame.view, frame.frame_id), frame.source.offset
        first = past.frame_ids.get(name)
        if first is not None and first < offset:
            return frame.source.model_copy(update={"offset": first})
        past.frame_ids[name] = offset
        self._forget(past)
        return None


def _advance(past: _PartitionHistory, offset: int) -> bool:
    new = offset > past.read_through
    past.read_through = max(past.read_through, offset)
    return new


def _recent(past: _PartitionHistory, view: str, scored_by: ScoredBy) -> RecentFrames:
    """The last scored frames of a view; none where another bank, or other limits, decided them."""
    recent = past.recent.get(view)
    return recent if recent is not None and recent.scored_by == scored_by else RecentFrames(scored_by)


def _missing(past: _PartitionHistory, frame: Frame, *, repeated: bool) -> int:
    gaps = past.sequences.get(frame.key, SequenceGaps())
    past.sequences[frame.key], missing = gaps.after(frame, repeated=repeated)
    return missing


def _remember_outcome(past: _PartitionHistory, view: str, inspection: ViewInspection, *, dead: bool) -> None:
    window = inspection.dead_letter_window_records
    outcomes = past.outcomes.get(view)
    if outcomes is None or outcomes.maxlen != window:
        outcomes = past.outcomes[view] = deque(outcomes or (), maxlen=window)
    outcomes.append(dead)


def _over_cap(past: _PartitionHistory, view: str, inspection: ViewInspection) -> bool:
    """Whether dead letters pass the cap; the window's full length divides, so that one bad first frame does not."""
    dead = sum(past.outcomes.get(view, ()))
    return dead > inspection.dead_letter_cap_ratio * inspection.dead_letter_window_records
