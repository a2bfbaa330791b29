"""Dead letters as the commands see them, without a broker."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.errors import UsageError
from deploy.history.dead_letters import (
    LetterFilter,
    StoredLetter,
    frame_of,
    letter_facts,
    place_from,
    reason_from,
)
from deploy.history.moments import moment_from
from ingest.contract import SourceRecord
from ingest.dead_letter import DeadLetter, dead_letter_of
from ingest.frame import REPLAY_OF, DeadLetterReason, parse_frame
from ingest.kafka.settings import KafkaSettings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KAFKA = KafkaSettings(topic_prefix="plant.")
HEADERS = (("frame-id", b"f-1"), ("product", b"gear"), ("operator", b"\xff"))


def letter(*, key: bytes | None = b"line/cam", headers: tuple[tuple[str, bytes], ...] = HEADERS) -> DeadLetter:
    """A letter written at noon, of a record of partition 3."""
    return dead_letter_of(
        source=SourceRecord(topic="plant.frames", partition=3, offset=40),
        reason=DeadLetterReason.TRUNCATED,
        detail="the image ends early",
        at=NOW,
        key=key,
        value=b"half an image",
        headers=headers,
    )


def kept(of: DeadLetter) -> StoredLetter:
    """That letter, where it lies."""
    return StoredLetter(SourceRecord(topic="plant.frames.dead-letter", partition=3, offset=7), of)


def test_a_replayed_frame_is_the_one_that_came_and_says_what_it_replays() -> None:
    """Key, bytes, headers and partition are the sender's; a reader of the contract finds the dead letter in it."""
    frame = frame_of(kept(letter()), b"the bytes", topics=["plant.frames"])
    assert (frame.topic, frame.key, frame.value, frame.partition) == ("plant.frames", b"line/cam", b"the bytes", 3)
    assert frame.headers[:-1] == HEADERS
    read = parse_frame(
        source=SourceRecord(topic="plant.frames", partition=3, offset=99),
        first_topic="plant.frames",
        appended_ms=0,
        key=frame.key,
        value=frame.value,
        headers=frame.headers,
    )
    assert (read.frame_id, str(read.replay_of)) == ("f-1", "plant.frames.dead-letter:3:7")


def test_a_frame_goes_back_to_the_topic_it_came_from() -> None:
    """While that is one of frames; else to the first."""
    source = letter().source.model_copy(update={"topic": "cell-4"})
    there = kept(replace(letter(), source=source))
    assert frame_of(there, b"", topics=["plant.frames", "cell-4"]).topic == "cell-4"
    assert frame_of(there, b"", topics=["plant.frames", "cell-5"]).topic == "plant.frames"


def test_a_letter_of_a_replay_replays_itself_and_not_the_one_before() -> None:
    """The header is replaced, so that a chain of failures does not grow."""
    again = letter(headers=(*HEADERS, (REPLAY_OF, b"plant.frames.dead-letter:3:1")))
    frame = frame_of(kept(again), b"", topics=["plant.frames"])
    assert [content for name, content in frame.headers if name == REPLAY_OF] == [b"plant.frames.dead-letter:3:7"]


@pytest.mark.parametrize(
    ("wanted", "means"),
    [
        (LetterFilter(), True),
        (LetterFilter(view="line/cam@gear"), True),
        (LetterFilter(view="line/cam"), False),
        (LetterFilter(reason=DeadLetterReason.TRUNCATED), True),
        (LetterFilter(reason=DeadLetterReason.EMPTY), False),
        (LetterFilter(since=NOW), True),
        (LetterFilter(since=NOW + timedelta(seconds=1)), False),
        (LetterFilter(view="line/cam@gear", reason=DeadLetterReason.EMPTY), False),
    ],
)
def test_letters_are_narrowed_by_view_reason_and_time(wanted: LetterFilter, means: bool) -> None:  # noqa: FBT001 -- expected
    """All conditions must hold; the view is the one the record's key and product name."""
    assert wanted.means(letter()) is means


def test_a_record_that_names_no_view_is_found_without_one() -> None:
    """No key, no view; and it does not break the list."""
    assert letter_facts(kept(letter(key=None)))["view"] is None
    assert not LetterFilter(view="line/cam").means(letter(key=None))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 24, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 24, 11, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 17, 12, tzinfo=UTC)),
        ("2026-11-24T08:00:00+02:00", datetime(2026, 11, 24, 6, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
    ],
)
def test_a_time_is_written_as_how_long_ago_or_as_a_date(text: str, moment: datetime) -> None:
    """A date without an offset is UTC."""
    assert moment_from(text, now=NOW) == moment


def test_a_time_or_a_name_that_is_none_says_how_to_write_it() -> None:
    """One sentence each."""
    with pytest.raises(UsageError, match="'yesterday' is no time: write 30m, 2h, 7d or 2026-11-24T08:00:00\\+00:00"):
        moment_from("yesterday", now=NOW)
    with pytest.raises(UsageError, match="'7' names no dead letter: write partition:offset"):
        place_from("7", KAFKA)
    with pytest.raises(UsageError, match=r"frames:3:7 is no record of plant\.frames\.dead-letter"):
        place_from("frames:3:7", KAFKA)


def test_a_reason_that_is_none_is_refused_with_those_there_are() -> None:
    """The right word is in the sentence."""
    with pytest.raises(UsageError, match=r"--reason broken is none of no_key, .*truncated"):
        reason_from("broken")


def test_a_letter_is_named_by_partition_and_offset_or_in_full() -> None:
    """The short name is what the list shows."""
    assert place_from(kept(letter()).name, KAFKA) == kept(letter()).place
    assert place_from("plant.frames.dead-letter:3:7", KAFKA) == kept(letter()).place
