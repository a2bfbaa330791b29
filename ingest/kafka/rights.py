"""Whether this user may write what a service writes, tried without writing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.errors import KafkaError

from ingest.kafka.connecting import Deadline
from ingest.kafka.producing import TransactionalProducer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.kafka.settings import KafkaSettings


def transactions_refused_because(
    settings: KafkaSettings, *, group_id: str, writes: Sequence[str], give_up_seconds: float
) -> str | None:
    """Why a transaction of this group over these topics cannot be begun; None where it can. It is aborted, empty."""
    producer = TransactionalProducer(settings, transactional_id=f"{group_id}-doctor", group_id=group_id, writes=writes)
    try:
        ready = producer.ready(Deadline(give_up_seconds))
    except KafkaError as error:
        return str(error) or type(error).__name__
    finally:
        producer.close()
    return None if ready else "the broker did not begin one in time"
