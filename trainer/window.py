"""A view's window as a value: which of its recent frames it keeps, and how that changes with each frame.

The rule, so that anyone can replay it: the frames of a view are counted from 0. A window of stride s keeps those whose
number divides by s; where such a frame cannot be decoded, shows nothing to inspect or is in the window already, the
next one takes its number. Of frames that show the same instant, `frozen_frames` or more in a row, only the first stays.
When the window holds more than its bounds allow, it either halves (s doubles; the frames whose number does not divide
by the new s go) as long as the next full window would still span at most `span_frames` frames, or else loses its oldest
frame. So a young window covers the view's whole life evenly, an old one rolls: it covers the latest `span_frames / 2`
to `span_frames` frames evenly, and follows drift. A frame of a mode (trainer/modes.py) that has its share of the window
already is passed by, and the next one takes its number. The same frames in the same order, with the same builds
between them, give the same window, wherever it was interrupted.

Nothing here reads or writes: `Change` says which files to write and to delete. The files of a window are written
before the index that names them, and deleted after the index that no longer does: a crash in between leaves files
that no index names, which are written again or swept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StringConstraints, ValidationError

from ingest.contract import FrozenModel, Sha256, SourceRecord, TopicText
from ingest.kafka.records import Partition
from ingest.store_layout import frame_file_name
from ingest.view import ViewName
from softpatch.images.regions import InspectedRegions

if TYPE_CHECKING:
    from ingest.bank_state import BankState
    from softpatch.settings import BuildSettings

Count = Annotated[int, Field(ge=0)]
FORMAT_VERSION = 1
"""Of the index file that this release writes, and the newest it reads."""


class InvalidIndex(ValueError):
    """A window index that cannot be trusted; the text says what is wrong and what to do."""


class NewerIndex(InvalidIndex):
    """A window index that a newer release wrote."""


@dataclass(frozen=True)
class Bounds:
    """How much a window may hold, and over how many of the latest frames it may be spread."""

    frames: int
    bytes: int
    span_frames: int


class KeptFrame(FrozenModel):
    """One frame of a window; its bytes lie in the file `name`."""

    topic: TopicText | None = None
    """None: the window's."""
    partition: Count
    offset: Count
    number: Count
    """Of the view's frames, counted from 0 since it was learnt anew."""
    frame_id: str
    sha256: Sha256
    size_bytes: Count
    appended_ms: int
    difference_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """64 bits of the frame at the network's input (softpatch.images.statistics)."""
    mode: str | None = None
    """The group of whole frames that the latest build found it in, or that frames like it are in; None: no group."""

    @property
    def name(self) -> str:
        """File name within the window's folder; a replayed frame gets the same one."""
        return frame_file_name(self.partition, self.offset, self.topic)


class LastBuild(FrozenModel):
    """The latest build of a view: how many frames had been seen when it began, how it read them, and how it ended."""

    seen: Count
    failed: bool
    at_ms: Count | None = None
    """When the newest frame of its window came, by the broker's clock."""
    regions: InspectedRegions | None = None
    bit_depth: int | None = None
    """None: it followed from the frames."""

    @classmethod
    def of(cls, settings: BuildSettings, *, seen: int, failed: bool, at_ms: int | None = None) -> Self:
        """A build by those settings."""
        depth = None if settings.bit_depth == "auto" else settings.bit_depth
        return cls(seen=seen, failed=failed, at_ms=at_ms, regions=settings.regions or None, bit_depth=depth)

    def outdated(self, settings: BuildSettings) -> str | None:
        """Why its bank is not what the settings ask for any more, as a clause; None where it is."""
        asked = LastBuild.of(settings, seen=self.seen, failed=self.failed)
        if self.regions != asked.regions:
            return "the regions to inspect or to ignore were changed in the settings"
        if self.bit_depth != asked.bit_depth:
            before, now = (depth or "auto" for depth in (self.bit_depth, asked.bit_depth))
            return f"bit_depth was changed in the settings from {before} to {now}"
        return None


class FrozenRunState(FrozenModel):
    """The latest examined frames that show the same instant: the first of them, and how many followed."""

    thumbnail_base64: str
    """Of the first; softpatch.images.input_faults.FrameThumbnail."""
    sha256: Sha256
    """Of the first's bytes."""
    repeats: Count = 0
    """How many came after the first."""
    kept: tuple[str, ...] = ()
    """File names of those among them that the window holds."""


class BuildRequest(FrozenModel):
    """A build that a command or a feedback (`command_id` is either's) requested and that has not ended yet."""

    command_id: str
    who: str
    why: str
    urgent: bool = False
    """It goes ahead of all builds that are due without being so."""


class WindowIndex(FrozenModel):
    """What a window holds and how far its partitions were read. Written as one JSON file; the truth after a restart."""

    format_version: Annotated[int, Field(ge=1, le=FORMAT_VERSION)] = FORMAT_VERSION
    view: ViewName
    topic: str
    """Of the partitions and frames here that name no other one: that of the view's first frame."""
    home: Count
    """The partition its latest frame came from: who owns that partition owns the view."""
    home_topic: TopicText | None = None
    """None: `topic`."""
    seen: Count = 0
    stride: Annotated[int, Field(ge=1)] = 1
    frames: tuple[KeptFrame, ...] = ()
    next_offsets: dict[Count, Count] = Field(default_factory=dict)
    """Per partition, the first offset that is not yet taken into account."""
    next_offsets_elsewhere: dict[TopicText, dict[Count, Count]] | None = None
    """The same by topic, of other topics than `topic`; None while no frame of the view came from another one."""
    run: FrozenRunState | None = None
    last_build: LastBuild | None = None
    build_request: BuildRequest | None = None
    lost_bank: Sha256 | None = None
    """The bank in force whose file was found gone: while it is in force, the view builds as one without a bank."""

    @property
    def home_partition(self) -> Partition:
        """`home` with its topic."""
        return Partition(self.home_topic or self.topic, self.home)

    @property
    def read_through(self) -> dict[Partition, int]:
        """The first offset not yet taken into account of every partition that a frame of the view came from."""
        by_topic = {self.topic: self.next_offsets, **(self.next_offsets_elsewhere or {})}
        return {Partition(topic, each): at for topic, offsets in by_topic.items() for each, at in offsets.items()}

    def other_topic(self, topic: str) -> str | None:
        """How the window writes a topic down: not at all where it is its own."""
        return None if topic == self.topic else topic

    @property
    def newest_ms(self) -> int:
        """When the newest kept frame came, by the broker's clock; 0 where there is none."""
        return max((frame.appended_ms for frame in self.frames), default=0)

    @property
    def size_bytes(self) -> int:
        """Encoded bytes of the kept frames."""
        return sum(frame.size_bytes for frame in self.frames)

    def full(self, bounds: Bounds) -> bool:
        """Whether it has had to thin its frames out, or has no room for one more of their mean size."""
        frames = len(self.frames)
        return self.stride > 1 or frames >= bounds.frames or (frames + 1) * self.size_bytes > frames * bounds.bytes

    def to_bytes(self) -> bytes:
        """The index file."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> WindowIndex:
        """Read an index file. Raises NewerIndex for one of a newer release, InvalidIndex for a damaged one."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        if where == "format_version" and isinstance(first["input"], int) and first["input"] > FORMAT_VERSION:
            raise NewerIndex(f"window index of format {first['input']}: update Patchline here, or delete the window")
        raise InvalidIndex(f"window index, {where}: {first['msg']}; the view is learnt anew")


class Admission(StrEnum):
    """What is to be done with a frame that is offered to a window."""

    REPLAYED = "replayed"
    """Taken into account before: ignore it."""
    DUPLICATE = "duplicate"
    """A frame with its id or its very bytes is in the window: skip it, uncounted."""
    THINNED = "thinned"
    """Between two strides: count it."""
    DUE = "due"
    """Keep it, if it can be decoded."""


@dataclass(frozen=True)
class Change:
    """A new index, and the files that make it true: write first, then the index, then delete."""

    index: WindowIndex
    write: KeptFrame | None = None
    delete: tuple[KeptFrame, ...] = ()


def admission(index: WindowIndex, at: SourceRecord, *, frame_id: str) -> Admission:
    """Whether a frame enters the window, decided without its bytes (a frame between two strides is never hashed)."""
    if at.offset < index.read_through.get(at.topic_partition, 0):
        return Admission.REPLAYED
    if any(frame.frame_id == frame_id for frame in index.frames):
        return Admission.DUPLICATE
    return Admission.DUE if index.seen % index.stride == 0 else Admission.THINNED


def holds_bytes(index: WindowIndex, sha256: str) -> bool:
    """Whether the window has a frame of exactly these bytes."""
    return any(frame.sha256 == sha256 for frame in index.frames)


def passed(index: WindowIndex, at: SourceRecord, *, counted: bool) -> WindowIndex:
    """The index after a frame that is not kept. `counted`: it is one of the view's frames, only not this stride's."""
    home = {"home": at.partition, "home_topic": index.other_topic(at.topic)}
    return index.model_copy(update={**home, "seen": index.seen + counted, **_offsets_after(index, at)})


def kept(index: WindowIndex, frame: KeptFrame, bounds: Bounds) -> Change:
    """The index after a due frame, with the frames that had to make room."""
    counted = passed(index, source_of(index, frame), counted=True)
    full = counted.model_copy(update={"frames": (*index.frames, frame)})
    result = within(full, bounds)
    gone = _missing_from(result, full.frames)
    if frame in gone:
        return Change(result, None, tuple(other for other in gone if other != frame))
    return Change(result, frame, gone)


def source_of(index: WindowIndex, frame: KeptFrame) -> SourceRecord:
    """Where a frame of a window stands in Kafka."""
    return SourceRecord(topic=frame.topic or index.topic, partition=frame.partition, offset=frame.offset)


def within(index: WindowIndex, bounds: Bounds) -> WindowIndex:
    """The index made to fit: halved while that keeps it within its span, else without its oldest frames."""
    while len(index.frames) > 1 and (len(index.frames) > bounds.frames or index.size_bytes > bounds.bytes):
        capacity = len(index.frames) - 1
        if 2 * index.stride * capacity <= bounds.span_frames:
            index = _halved(index)
        else:
            index = index.model_copy(update={"frames": index.frames[1:]})
    return index


def without_repeats(index: WindowIndex, run: FrozenRunState) -> Change:
    """The index without the repeats of a run that has become too long; its first frame stays."""
    repeats = tuple(frame for frame in index.frames if frame.name in run.kept)
    left = without(index, frozenset(run.kept))
    return Change(left.model_copy(update={"run": run.model_copy(update={"kept": ()})}), None, repeats)


def shrunk(index: WindowIndex, bounds: Bounds) -> Change:
    """The index under bounds that may have become narrower since it was written."""
    result = within(index, bounds)
    return Change(result, None, _missing_from(result, index.frames))


def without(index: WindowIndex, lost: frozenset[str]) -> WindowIndex:
    """The index without frames whose files (names) are gone."""
    return index.model_copy(update={"frames": tuple(frame for frame in index.frames if frame.name not in lost)})


def without_frames(index: WindowIndex, frame_ids: frozenset[str]) -> Change:
    """The index without the frames of these ids, which are not to be learnt."""
    gone = tuple(frame for frame in index.frames if frame.frame_id in frame_ids)
    return Change(without(index, frozenset(frame.name for frame in gone)), None, gone)


def forgotten(index: WindowIndex) -> Change:
    """The empty window of a view that is learnt anew; it reads on where it was."""
    fresh = index.model_copy(
        update={"seen": 0, "stride": 1, "frames": (), "run": None, "last_build": None, "build_request": None}
    )
    return Change(fresh, None, index.frames)


def read_anew(index: WindowIndex) -> Change:
    """The empty window of a view whose partitions are read again from the beginning."""
    change = forgotten(index)
    fresh = change.index.model_copy(update={"next_offsets": {}, "next_offsets_elsewhere": None})
    return Change(fresh, None, change.delete)


def lost(state: BankState, index: WindowIndex) -> bool:
    """Whether the file of the bank in force was found gone."""
    return state.active is not None and state.active.version == index.lost_bank


def _offsets_after(index: WindowIndex, at: SourceRecord) -> dict[str, object]:
    """The changed field of the offsets once a record is taken into account."""
    topic, elsewhere = index.other_topic(at.topic), index.next_offsets_elsewhere or {}
    if topic is None:
        return {"next_offsets": {**index.next_offsets, at.partition: at.offset + 1}}
    of_topic = {**elsewhere.get(topic, {}), at.partition: at.offset + 1}
    return {"next_offsets_elsewhere": {**elsewhere, topic: of_topic}}


def _halved(index: WindowIndex) -> WindowIndex:
    stride = 2 * index.stride
    frames = tuple(frame for frame in index.frames if frame.number % stride == 0)
    return index.model_copy(update={"stride": stride, "frames": frames})


def _missing_from(index: WindowIndex, frames: tuple[KeptFrame, ...]) -> tuple[KeptFrame, ...]:
    names = {frame.name for frame in index.frames}
    return tuple(frame for frame in frames if frame.name not in names)
