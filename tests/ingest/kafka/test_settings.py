"""Names of one's own for topics."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingest.kafka.settings import KafkaSettings


def test_a_topic_may_have_a_name_of_its_own() -> None:
    """Any topic of keyed images may be `frames`; the others keep the prefix."""
    settings = KafkaSettings.model_validate({"topic_prefix": "a.", "topics": {"frames": "plant-7.images"}})
    assert (settings.topic("frames"), settings.topic("decisions")) == ("plant-7.images", "a.decisions")


def test_topics_of_frames_may_be_several() -> None:
    """The first is `frames`, whatever it is called."""
    several = KafkaSettings(topic_prefix="a.", more_frame_topics=("cell-4.images", "cell-5.images"))
    assert several.frame_topics == ("a.frames", "cell-4.images", "cell-5.images")
    assert KafkaSettings(topic_prefix="a.").frame_topics == ("a.frames",)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["decisions"], "decisions would be two topics at once"),
        (["frames"], "frames would be two topics at once"),
        (["x", "x"], "x would be two topics at once"),
        (["no topic"], "more_frame_topics"),
        (["x" * 201], "each has 200 characters at most"),
    ],
)
def test_further_topics_of_frames_that_cannot_be_are_refused(more: list[str], complaint: str) -> None:
    """As those of one's own names are; frame ids and files of theirs hold the name."""
    with pytest.raises(ValidationError, match=complaint):
        KafkaSettings.model_validate({"more_frame_topics": more})


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        ({"frames": "decisions"}, "decisions would be two topics at once"),
        ({"frame": "x"}, "frame"),
        ({"frames": "no topic"}, "frames"),
    ],
)
def test_names_that_cannot_be_are_refused(topics: dict[str, str], complaint: str) -> None:
    """Before a broker is asked."""
    with pytest.raises(ValidationError, match=complaint):
        KafkaSettings.model_validate({"topics": topics})
