"""Records that fail again and again: tried a few times, then passed by. One costs its own view, and no other.

A store that is down makes every record fail that needs it, and one such record then costs the trainer `TRIES` waits; so
of a camera whose record was set aside, later ones are tried once, until one succeeds. The inspection decides all of
them in any case: what is set aside here is only not learnt from, or not carried out, and said.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from prometheus_client import Counter

log = structlog.get_logger(__name__)

TRIES = 3
MOST_KNOWN = 1000
"""Records with tries, and suspects, that are remembered."""


class NotTaken(Exception):
    """A record failed; it is tried again."""


class SetAside:
    """Counts the tries of records that fail, by topic, partition and offset."""

    def __init__(self, counter: Counter) -> None:
        """`counter`: of records that are set aside."""
        self._counter = counter
        self._tries: OrderedDict[tuple[str, int, int], int] = OrderedDict()
        self._suspects: OrderedDict[str, None] = OrderedDict()

    def failed(self, place: tuple[str, int, int], error: Exception, *, of: str = "", at_once: bool = False) -> bool:
        """Whether a record that has just failed is set aside now; else it is to be tried again.

        Args:
            place: topic, partition and offset.
            error: what it failed with.
            of: the camera it comes from, if later ones of it are to be tried once only.
            at_once: it would fail again for certain.
        """
        tries = self._tries[place] = self._tries.get(place, 0) + 1
        _bound(self._tries)
        if tries < TRIES and not at_once and of not in self._suspects:
            return False
        self._tries.pop(place)
        self._counter.inc()
        if of and of not in self._suspects:
            self._suspects[of] = None
            _bound(self._suspects)
        # With the traceback: a record that fails by a fault of ours is set aside like any other.
        topic, partition, offset = place
        log.error("record_set_aside", topic=topic, partition=partition, offset=offset, tries=tries, exc_info=error)
        return True

    def succeeded(self, *, of: str) -> None:
        """A record of this camera was taken: the next one that fails is tried again."""
        self._suspects.pop(of, None)


def _bound(names: OrderedDict[tuple[str, int, int], int] | OrderedDict[str, None]) -> None:
    while len(names) > MOST_KNOWN:
        names.popitem(last=False)
