"""The fold of the `banks` topic: the last record of a view wins, a tombstone removes it, an unreadable one is skipped.

All readers of the topic use it: trainer, inference, drift service and the `patchline` command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ingest.bank_state import BankState
from ingest.contract import BadMessage, NewerSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ingest.kafka.records import Record

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class BankUpdates:
    """What records of `banks` change, by view."""

    states: Mapping[str, BankState | None]
    """The last state that can be read; None where a tombstone removed the view."""
    unreadable: Mapping[str, BadMessage]
    """Views whose last record cannot be read, and why: their state before it goes on."""


def bank_updates(records: Iterable[Record]) -> BankUpdates:
    """Fold records, oldest first in each partition. A record without a key is ignored: it belongs to no view."""
    states: dict[str, BankState | None] = {}
    unreadable: dict[str, BadMessage] = {}
    for record in records:
        view = (record.key or b"").decode("utf-8", "replace")
        if not view:
            continue
        try:
            states[view] = None if record.value is None else _state_of(view, record.value)
            unreadable.pop(view, None)
        except BadMessage as error:
            unreadable[view] = error
            log.warning("bank_state_unreadable", view=view, offset=record.offset, detail=str(error))
    return BankUpdates(states, unreadable)


def _state_of(view: str, value: bytes) -> BankState:
    """Raises BadMessage also where it is the state of another view than its key: compaction goes by the key."""
    state = BankState.from_bytes(value)
    if state.view != view:
        raise BadMessage(f"the state of {state.view!r} stands under the key {view[:100]!r}")
    return state


def bank_states(records: Iterable[Record], *, accept_newer: bool) -> dict[str, BankState]:
    """The last readable state of every view, from the whole topic.

    Args:
        records: all of `banks`.
        accept_newer: skip states of a newer release like other unreadable ones. Not for a writer of the topic: it would
            write over them.

    Raises:
        NewerSchema: a newer release wrote the last state of a view, and `accept_newer` is false.
    """
    updates = bank_updates(records)
    newer = next((error for error in updates.unreadable.values() if isinstance(error, NewerSchema)), None)
    if newer is not None and not accept_newer:
        raise newer
    return {view: state for view, state in updates.states.items() if state is not None}
