"""Pictures: kept once and whole, small beside them, gone where Kafka has none, and forgotten by age and by size."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from sqlalchemy import select, update

from ingest.decision import Verdict
from ingest.kafka.records import Partition
from ingest.store_layout import PICTURES, picture_path, thumbnail_path
from monitoring.record.pictures import PictureKeeper, PictureRetention, thumbnail
from monitoring.record.rows import PassSample
from monitoring.record.schema import decisions, views
from monitoring.record.settings import PictureLimits, RecordSettings
from monitoring.record.writing import RecordWriter
from tests.ingest.no_claims import NO_CLAIMS
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import Frames, made, picture

if TYPE_CHECKING:
    from ingest.store import FsspecStore
    from monitoring.record.database import Database


def keeper(database: Database, store: FsspecStore, source: Frames) -> PictureKeeper:
    """One that makes thumbnails of 24 px."""
    return PictureKeeper(database, store, source, claims=NO_CLAIMS, topics=["frames", "cell-4"], longer_px=24)


def states(database: Database) -> list[str]:
    """What is with each picture, the oldest decision first."""
    with database.reading() as connection:
        return list(connection.execute(select(decisions.c.picture).order_by(decisions.c.decided_at)).scalars())


def test_what_waits_is_kept_whole_and_small(database: Database, store: FsspecStore) -> None:
    """The frame as it came, and a JPEG of the wanted size; a pass beyond the sample is not fetched."""
    RecordWriter(database, PassSample(3600)).decisions([made(0), made(1), made(2, Verdict.FAIL)])
    source = Frames()
    assert keeper(database, store, source).keep() == 2
    assert source.asked == {Partition("frames", 0): [0, 2]}
    assert states(database) == ["kept", "not_kept", "kept"]
    fail = made(2, Verdict.FAIL)
    assert store.get(picture_path(VIEW, fail.decided_at, fail.id)) == picture(2)
    small = cv2.imdecode(np.frombuffer(store.get(thumbnail_path(VIEW, fail.decided_at, fail.id)), np.uint8), 1)
    assert small is not None
    assert small.shape == (16, 24, 3)
    with database.reading() as connection:
        assert connection.execute(select(views.c.picture_id)).scalar_one() == fail.id


def test_a_picture_that_kafka_has_no_more_is_named_missing(database: Database, store: FsspecStore) -> None:
    """It is not asked for again."""
    RecordWriter(database, PassSample(0)).decisions([made(0, Verdict.FAIL), made(1, Verdict.FAIL)])
    source = Frames()
    source.gone = {0}
    keeping = keeper(database, store, source)
    keeping.keep()
    assert states(database) == ["missing", "kept"]
    assert keeping.keep() == 0


def test_a_frame_of_another_view_is_not_taken_for_this_one(database: Database, store: FsspecStore) -> None:
    """A topic that was made anew has other frames at the same offsets."""
    RecordWriter(database, PassSample(0)).decisions([made(0, Verdict.FAIL)])
    keeper(database, store, Frames(view="line-9/other")).keep()
    assert states(database) == ["missing"]


def test_a_picture_is_fetched_from_the_topic_its_decision_names(database: Database, store: FsspecStore) -> None:
    """One of an older release names none: it lies in the first. A topic that is read no more is not asked."""
    there, gone = (
        each.model_copy(update={"source": each.source.model_copy(update={"topic": topic, "offset": 7})})
        for each, topic in ((made(1, Verdict.FAIL), "cell-4"), (made(2, Verdict.FAIL), "cell-9"))
    )
    RecordWriter(database, PassSample(0)).decisions([made(0, Verdict.FAIL), there, gone])
    with database.writing() as connection:
        connection.execute(update(decisions).where(decisions.c.frames_offset == 0).values(frames_topic=None))
    source = Frames()
    assert keeper(database, store, source).keep() == 3
    assert states(database) == ["kept", "kept", "missing"]
    assert source.asked == {Partition("frames", 0): [0], Partition("cell-4", 0): [7]}
    assert store.get(picture_path(VIEW, there.decided_at, there.id)) == picture(7)


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (PictureLimits(days=0.5, bytes=10**9), ["expired", "kept", "kept"]),
        (PictureLimits(days=400, bytes=0), ["expired", "expired", "expired"]),
        (PictureLimits(days=400, bytes=10**9), ["kept", "kept", "kept"]),
    ],
)
def test_pictures_expire_by_age_and_by_size(
    database: Database, store: FsspecStore, limits: PictureLimits, left: list[str]
) -> None:
    """The oldest first; the decision stays, and says that its picture expired."""
    batch = [made(n, Verdict.FAIL, seconds=n * 43_200) for n in range(3)]
    RecordWriter(database, PassSample(0)).decisions(batch)
    keeper(database, store, Frames()).keep()
    settings = RecordSettings(fail_pictures=limits)
    retention = PictureRetention(database, store, settings, clock=lambda: AT + timedelta(days=1))
    assert retention.expire() == left.count("expired")
    assert states(database) == left
    assert len(store.paths(PICTURES)) == 2 * left.count("kept")


def test_a_verdict_s_limit_is_its_own(database: Database, store: FsspecStore) -> None:
    """Passes go, rejects stay."""
    RecordWriter(database, PassSample(0)).decisions([made(0), made(1, Verdict.FAIL)])
    keeper(database, store, Frames()).keep()
    settings = RecordSettings(pass_pictures=PictureLimits(days=1, bytes=0))
    PictureRetention(database, store, settings, clock=lambda: AT).expire()
    assert states(database) == ["expired", "kept"]


def test_no_thumbnail_of_what_is_no_picture() -> None:
    """A frame that only looks like one."""
    assert thumbnail(b"GIF89a", longer_px=10) is None
    assert thumbnail(b"", longer_px=10) is None
