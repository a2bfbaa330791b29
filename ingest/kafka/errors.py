"""Everything that can go wrong between us and Kafka, by what the caller has to do about it.

KafkaFailure
+-- BrokerUnreachable   nobody answers within the deadline: check the address, or wait
+-- TopicMissing        run `patchline topics create`
+-- SendFailed          the record is not in the topic; the caller decides whether to send again
+-- Aborted             nothing of this transaction happened; drop work in flight and poll on
+-- Fenced              another process took our place: exit at once, the supervisor restarts
+-- Refused             the broker will never accept this (rights, versions, sizes): a person must act
    +-- TooLarge        a record is larger than its topic takes: make it smaller, poll on
"""

from __future__ import annotations


class KafkaFailure(Exception):
    """Root of every error this package raises."""


class BrokerUnreachable(KafkaFailure):
    """No broker answered within the deadline."""


class TopicMissing(KafkaFailure):
    """A topic that must exist does not."""


class SendFailed(KafkaFailure):
    """A record was not acknowledged; it may or may not be stored, and must not be taken for sent."""


class Aborted(KafkaFailure):
    """The transaction did not happen; every claim is void and reading restarts at the committed offsets."""


class Fenced(KafkaFailure):
    """Another process holds our instance id or transactional id; nothing this process does counts any more."""


class Refused(KafkaFailure):
    """The broker rejects the request for a reason that waiting does not cure."""


class TooLarge(Refused):
    """A record of the transaction is larger than its topic takes; nothing of it happened, every claim is void."""
