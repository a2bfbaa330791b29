"""How large an answer may be, so that every record that was accepted gets one that its topic takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ingest import dead_letter
from ingest.kafka.topics import DEFAULT_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingest.kafka.settings import TopicName

    LargestMessages = Callable[[], Mapping[TopicName, int]]
    """Bytes of a message that `decisions` and `frames.dead-letter` take now."""

log = structlog.get_logger(__name__)

DECISION_OVERHEAD_BYTES = 2048
"""More than the key of a decision and the batch around it take."""
LEAST_BYTES = 10_000
"""Of a dead letter: our headers alone must fit. A decision that does not fit becomes one."""
AS_CREATED: Mapping[TopicName, int] = {
    "decisions": DEFAULT_MESSAGE_BYTES,
    "frames.dead-letter": dead_letter.MAX_MESSAGE_BYTES,
}
"""What the topics take as `patchline topics create` makes them."""


class NoRoomForAnswers(Exception):
    """The topic of dead letters takes no message that is large enough for one."""


class AnswerSizes:
    """What the topics take: the loop's thread asks, the worker's thread reads."""

    def __init__(self, ask: LargestMessages) -> None:
        self._ask = ask
        self._largest = dict(ask())

    @property
    def decision_bytes(self) -> int:
        """Of a decision's value at most."""
        return self._largest["decisions"] - DECISION_OVERHEAD_BYTES

    @property
    def dead_letter_bytes(self) -> int:
        """Of a whole dead letter at most."""
        return self._largest["frames.dead-letter"]

    def refused(self) -> None:
        """An answer was too large all the same: somebody changed a topic, or the broker would not say.

        Raises NoRoomForAnswers where nothing is left to make smaller.
        """
        told = self._ask()
        changed = any(told[name] < size for name, size in self._largest.items())
        self._largest = dict(told) if changed else {name: size // 2 for name, size in self._largest.items()}
        if self.dead_letter_bytes < LEAST_BYTES:
            raise NoRoomForAnswers(
                f"the topic of dead letters must take messages of {LEAST_BYTES} bytes at least: "
                "set its max.message.bytes as `patchline topics show` says"
            )
        log.warning("answers_made_smaller", **{f"{name}_bytes": size for name, size in self._largest.items()})
