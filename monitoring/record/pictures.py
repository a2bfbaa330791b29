"""The pictures of the history: fetched from Kafka, made small, put into the store, and forgotten in time.

A decision that wants its picture is written as `waiting` first. What is waiting is found in the database, so that a
kill at any moment loses none; what people look at now, the newest, comes first.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import structlog
from sqlalchemy import func, select

from ingest.decision import Verdict
from ingest.frame import BadFrame, frame_of_record
from ingest.kafka.records import Partition
from ingest.store import NotInStore
from ingest.store_layout import picture_path, thumbnail_path
from monitoring.record.schema import PictureState, decisions
from monitoring.record.writing import set_picture
from softpatch.images.decode import least_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from sqlalchemy import Row

    from ingest.claims import Claims
    from ingest.kafka.records import Record
    from ingest.store import Store
    from monitoring.record.database import Database
    from monitoring.record.settings import RecordSettings

    WaitingRow = Row[datetime, str, str, str | None, int, int]

log = structlog.get_logger(__name__)

BATCH = 32
STORING = 4
"""Pictures that are put into the store at a time, while the next ones are fetched: each waits for the disk."""
EXPIRED_AT_ONCE = 200
FETCH_SECONDS = 20.0
JPEG_QUALITY = 80


class RecordSource(Protocol):
    """Fetches records of `frames` by offset: `ingest.kafka.record_fetcher.RecordFetcher`."""

    def fetch(self, partition: Partition, offsets: Iterable[int], *, timeout_seconds: float) -> Iterator[Record | None]:
        """The record at each of some ascending offsets; None where there is none any more."""
        ...


def picture(encoded: bytes, *, bit_depth: int | None = None) -> np.ndarray | None:
    """A picture for people, uint8 [h, w, 3], blue first; None where it cannot be decoded.

    Of 16-bit samples the lowest `bit_depth` bits count; None: as few as hold the largest sample.
    """
    data = np.frombuffer(encoded or b"\0", np.uint8)
    image: np.ndarray | None = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None or image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.convertScaleAbs(image, alpha=255 / (2 ** (bit_depth or least_depth(int(image.max()))) - 1)))


def thumbnail(encoded: bytes, *, longer_px: int) -> bytes | None:
    """A small JPEG of a picture; None where it cannot be decoded."""
    image = picture(encoded)
    return None if image is None else small_jpeg(image, longer_px=longer_px)


def small_jpeg(image: np.ndarray, *, longer_px: int) -> bytes | None:
    """A picture (uint8, blue first) as a JPEG whose longer side has so many pixels at most."""
    scale = min(1.0, longer_px / max(image.shape[:2]))
    if scale < 1.0:
        # The mean of an area takes twenty times as long, and shows only where more than two pixels become one.
        means = cv2.INTER_LINEAR if 2 * scale >= 1 else cv2.INTER_AREA
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=means)
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes() if done else None


class PictureKeeper:
    """Keeps what is waiting. One thread only."""

    def __init__(
        self,
        database: Database,
        store: Store,
        source: RecordSource,
        *,
        claims: Claims,
        topics: Sequence[str],
        longer_px: int,
    ) -> None:
        """`topics`: those of frames; where a decision does not say in which its frame lies, it is the first."""
        self._claims = claims
        self._database = database
        self._store = store
        self._source = source
        self._topics = topics
        self._longer_px = longer_px
        self._storing = ThreadPoolExecutor(STORING, thread_name_prefix="store")

    def close(self) -> None:
        """End its threads."""
        self._storing.shutdown()

    def keep(self) -> int:
        """Keep the newest pictures that wait; returns how many were looked after.

        Raises BrokerUnreachable, StoreError, DatabaseError: all that was not noted waits on.
        """
        rows = self._waiting()
        by_partition = defaultdict(list)
        for row in rows:
            by_partition[Partition(row.frames_topic or self._topics[0], row.frames_partition)].append(row)
        being_put: list[tuple[WaitingRow, Future[int]]] = []
        missing: list[WaitingRow] = []
        try:
            for partition, wanted in by_partition.items():
                if partition.topic not in self._topics:
                    missing += wanted  # asked for, a topic that there may not be would keep all others waiting
                    continue
                for row, encoded in self._pictures(partition, sorted(wanted, key=lambda row: row.frames_offset)):
                    if encoded is None:
                        missing.append(row)
                    else:
                        being_put.append((row, self._storing.submit(self._put, row, encoded)))
        finally:
            self._note(being_put, missing)
        return len(rows)

    def waiting(self) -> int:
        """How many pictures wait."""
        with self._database.reading() as connection:
            count = select(func.count()).where(decisions.c.picture == PictureState.WAITING.value)
            return int(connection.execute(count).scalar_one())

    def _waiting(self) -> list[WaitingRow]:
        columns = (
            decisions.c.decided_at,
            decisions.c.id,
            decisions.c.view,
            decisions.c.frames_topic,
            decisions.c.frames_partition,
            decisions.c.frames_offset,
        )
        newest = (
            select(*columns)
            .where(decisions.c.picture == PictureState.WAITING.value)
            .order_by(decisions.c.decided_at.desc())
            .limit(BATCH)
        )
        with self._database.reading() as connection:
            return list(connection.execute(newest))

    def _pictures(self, partition: Partition, rows: Sequence[WaitingRow]) -> Iterator[tuple[WaitingRow, bytes | None]]:
        offsets = [row.frames_offset for row in rows]
        records = self._source.fetch(partition, offsets, timeout_seconds=FETCH_SECONDS)
        for row, record in zip(rows, records, strict=True):
            yield row, None if record is None else self._picture_in(record, row.view)

    def _note(self, being_put: Sequence[tuple[WaitingRow, Future[int]]], missing: Sequence[WaitingRow]) -> None:
        """All that a round did, in two transactions: each waits for the disk. Raises StoreError where one failed."""
        kept = [(row, put.result()) for row, put in being_put if put.exception() is None]
        set_picture(self._database, [row for row, _ in kept], PictureState.KEPT, [size for _, size in kept])
        set_picture(self._database, missing, PictureState.MISSING, [0] * len(missing))
        for _, put in being_put:
            put.result()

    def _picture_in(self, record: Record, view: str) -> bytes | None:
        """The picture of a frame of the view.

        None where the topic was made anew and holds another record there, or what the frame claims is there no more.
        """
        try:
            frame = frame_of_record(record, self._topics[0])
            return self._claims.encoded(frame) if frame.view == view else None
        except BadFrame:
            return None

    def _put(self, row: WaitingRow, encoded: bytes) -> int:
        small = thumbnail(encoded, longer_px=self._longer_px)
        if small is not None:
            self._store.put(thumbnail_path(row.view, row.decided_at, row.id), small)
        self._store.put(picture_path(row.view, row.decided_at, row.id), encoded)
        return len(encoded) + len(small or b"")


class PictureRetention:
    """Forgets the pictures of a verdict that are too old, and the oldest where they take too much room."""

    def __init__(
        self, database: Database, store: Store, settings: RecordSettings, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._clock = clock

    def expire(self) -> int:
        """Forget what has expired; returns how many pictures that were. Raises StoreError, DatabaseError."""
        return sum(self._expire_of(verdict) for verdict in Verdict)

    def _expire_of(self, verdict: Verdict) -> int:
        limits, gone = self._settings.pictures_of(verdict), 0
        ends = self._clock() - timedelta(days=limits.days)
        surplus = self.size_bytes(verdict) - limits.bytes
        while rows := self._oldest(verdict):
            chosen = []
            for row in rows:
                if row.decided_at >= ends and surplus <= 0:
                    break
                surplus -= row.picture_bytes
                chosen.append(row)
            for row in chosen:
                self._delete(row.view, row.decided_at, row.id)
            set_picture(self._database, chosen, PictureState.EXPIRED, [0] * len(chosen))
            gone += len(chosen)
            if len(chosen) < len(rows):
                break
        return gone

    def size_bytes(self, verdict: Verdict) -> int:
        """What the pictures of a verdict take in the store."""
        whole = select(func.coalesce(func.sum(decisions.c.picture_bytes), 0)).where(
            decisions.c.picture == PictureState.KEPT.value, decisions.c.verdict == verdict.value
        )
        with self._database.reading() as connection:
            return int(connection.execute(whole).scalar_one())

    def _oldest(self, verdict: Verdict) -> list[Row[datetime, str, str, int]]:
        oldest = (
            select(decisions.c.decided_at, decisions.c.id, decisions.c.view, decisions.c.picture_bytes)
            .where(decisions.c.picture == PictureState.KEPT.value, decisions.c.verdict == verdict.value)
            .order_by(decisions.c.decided_at)
            .limit(EXPIRED_AT_ONCE)
        )
        with self._database.reading() as connection:
            return list(connection.execute(oldest))

    def _delete(self, view: str, decided_at: datetime, decision: str) -> None:
        for path in (picture_path(view, decided_at, decision), thumbnail_path(view, decided_at, decision)):
            try:
                self._store.delete(path)
            except NotInStore:
                continue


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
