"""Which frame a person means, by record, frame id or decision; the broker's part is in the test of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.errors import UsageError
from deploy.history.named_frame import latest_named, record_named
from deploy.history.replay_source import span_of
from ingest.contract import SourceRecord
from tests.deploy.runs import decided

if TYPE_CHECKING:
    from ingest.decision import Decision


@pytest.mark.parametrize("name", ["2:17", "plant.frames:2:17"])
def test_a_record_is_named_by_partition_and_offset(name: str) -> None:
    """With the topic in front or without."""
    expected = SourceRecord(topic="plant.frames", partition=2, offset=17)
    assert record_named(name, topics=["plant.frames"]) == expected


def test_a_record_of_a_further_topic_of_frames_is_named_with_it() -> None:
    """As the commands show it."""
    found = record_named("cell-4.images:2:17", topics=["plant.frames", "cell-4.images"])
    assert found == SourceRecord(topic="cell-4.images", partition=2, offset=17)
    assert (found.short("plant.frames"), found.short("cell-4.images")) == ("cell-4.images:2:17", "2:17")


def test_a_span_lies_in_one_partition_of_one_topic() -> None:
    """Its ends name the topic, both or none."""
    topics = ["plant.frames", "cell-4"]
    span = span_of("cell-4:2:17", "cell-4:2:19", topics=topics)
    assert (str(span.first), span.last) == ("cell-4:2:17", 19)
    with pytest.raises(UsageError, match="lie in two partitions"):
        span_of("cell-4:2:17", "2:19", topics=topics)
    with pytest.raises(UsageError, match="comes before"):
        span_of("2:17", "plant.frames:2:16", topics=topics)


@pytest.mark.parametrize("name", ["2-17", "a17f", "17", "2:", "3fa85f64-5717-4562-b3fc-2c963f66afa6-12"])
def test_another_form_is_no_record(name: str) -> None:
    """Frame ids, among them those made of partition and offset, and decision ids."""
    assert record_named(name, topics=["frames"]) is None


def test_a_record_of_another_topic_is_refused() -> None:
    """A dead letter, say, is not the frame."""
    with pytest.raises(UsageError, match=r"^frames\.dead-letter:2:17 is no record of frames or cell-4$"):
        record_named("frames.dead-letter:2:17", topics=["frames", "cell-4"])


def at(offset: int, frame_id: str, identity: str) -> Decision:
    """A decision with ids of this test's own."""
    return decided(0.5, offset=offset).model_copy(update={"frame_id": frame_id, "id": identity * 8})


DECISIONS = [at(1, "a-1", "aabb0001"), at(2, "a-2", "aabb0002"), at(3, "a-1", "aabb0001"), at(4, "0-4", "ccdd0004")]


def test_of_a_repeated_frame_id_the_latest_decision_counts() -> None:
    """It is the part that a person has just seen again."""
    found = latest_named(DECISIONS, "a-1")
    assert found is not None
    assert found.source.offset == 3


def test_a_decision_is_named_by_the_start_of_its_id() -> None:
    """From six digits on: fewer would be anybody's."""
    found = latest_named(DECISIONS, "ccdd00")
    assert found is DECISIONS[3]
    assert latest_named(DECISIONS, "ccdd0") is None
    with pytest.raises(UsageError, match=r"^the ids of 2 decisions start with aabb00; write more of it$"):
        latest_named(DECISIONS, "aabb00")
