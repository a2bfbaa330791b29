"""What a service needs of the transaction loop, so that its tests can use a fake one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.kafka.records import Claim, Committed, Partition, Record, Work
    from ingest.kafka.transactions import State


class Loop(Protocol):
    """See TransactionLoop. Every call may raise Fenced or Refused."""

    @property
    def state(self) -> State:
        """Where the loop stands."""
        ...

    @property
    def claims(self) -> Mapping[Partition, Claim]:
        """The partitions owned now."""
        ...

    @property
    def taken_over(self) -> str | None:
        """Which other process had our instance id when we started, in a sentence; None where none had."""
        ...

    def poll(self, timeout_seconds: float, *, room: int) -> Sequence[Record]:
        """The next records, at most `room`. Raises Aborted."""
        ...

    def commit(self, works: Sequence[Work]) -> Committed:
        """Write and commit all of them in one transaction, or none. Raises Aborted."""
        ...


class RereadingLoop(Loop, Protocol):
    """A loop that can go back to the beginning of a partition."""

    def read_again(self, partition: Partition) -> None:
        """Read an owned partition from its beginning; what was read of it under the old claim is void."""
        ...
