"""How large answers may be: what the topics take, and smaller where a broker refuses all the same."""

from __future__ import annotations

import pytest

from inference.answer_sizes import AS_CREATED, AnswerSizes, NoRoomForAnswers


def test_a_topic_that_was_changed_is_asked_again() -> None:
    """A person lowers max.message.bytes while the line runs."""
    now = dict(AS_CREATED)
    sizes = AnswerSizes(lambda: now)
    now["decisions"] = 200_000
    sizes.refused()
    assert sizes.decision_bytes == 200_000 - 2048
    assert sizes.dead_letter_bytes == 12 * 2**20


def test_where_the_broker_says_nothing_new_answers_halve_until_they_fit_and_then_it_ends() -> None:
    """A broker that would not say what its topics take refuses until they do; a topic of no room at all is an error."""
    sizes = AnswerSizes(lambda: {"decisions": 100_000, "frames.dead-letter": 100_000})
    sizes.refused()
    assert sizes.dead_letter_bytes == 50_000
    sizes.refused()
    sizes.refused()
    with pytest.raises(NoRoomForAnswers, match="at least"):
        sizes.refused()
