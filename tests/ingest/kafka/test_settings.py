"""Names of one's own for topics."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingest.kafka.settings import KafkaSettings


def test_a_topic_may_have_a_name_of_its_own() -> None:
    """Any topic of keyed images may be `frames`; the others keep the prefix."""
    settings = KafkaSettings.model_validate({"topic_prefix": "a.", "topics": {"frames": "plant-7.images"}})
    assert (settings.topic("frames"), settings.topic("decisions")) == ("plant-7.images", "a.decisions")


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
