"""Who else has our instance id: two processes with one id throw each other out of the group, without end.

The group knows its members by client id, and ours name machine and process. A member that is gone is listed until its
session ends, so a process that was just restarted finds its own predecessor there: that one does not count. A group
lists a member that took another one's place under the client id of the first: who is thrown out cannot learn by whom.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from ingest.kafka.connecting import client_options, connected
from ingest.kafka.errors import KafkaFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

log = structlog.get_logger(__name__)

PREFIX = "patchline"


def client_id() -> str:
    """By which others know this process: `patchline:<machine>:<process id>`."""
    return f"{PREFIX}:{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Holder:
    """The member that has an instance id."""

    client_id: str
    address: str

    @classmethod
    def of(cls, settings: KafkaSettings, group_id: str) -> Self | None:
        """Who has our instance id in a group; None where nobody has, or it cannot be told."""
        patience = settings.request_timeout_seconds
        try:
            admin: Untyped = connected(
                lambda: KafkaAdminClient(**client_options(settings)), settings, give_up_seconds=patience
            )
            try:
                members = admin.describe_groups([group_id])[group_id].get("members", [])
            finally:
                admin.close()
        except (KafkaError, KafkaFailure, KeyError, ValueError) as error:
            # ValueError: kafka-python's, of the rights that a broker without rights answers with
            log.info("group_not_described", group=group_id, cause=f"{type(error).__name__}: {error}")
            return None
        ours = [each for each in members if each.get("group_instance_id") == settings.instance_id]
        return cls._of_member(ours[0]) if ours else None

    @classmethod
    def _of_member(cls, member: Mapping[str, str]) -> Self:
        return cls(member["client_id"], member["client_host"].lstrip("/"))

    @property
    def is_other(self) -> bool:
        """Whether it may be another process that runs: not ourselves, nor one of this machine that has ended."""
        machine, process = self._machine_and_process
        if machine != socket.gethostname():
            return True
        return process not in {str(os.getpid()), ""} and os.path.exists(f"/proc/{process}")  # noqa: PTH110 -- a name

    @property
    def words(self) -> str:
        """What a person can look for."""
        machine, process = self._machine_and_process
        return f"process {process} on {machine} ({self.address})" if process else f"{self.client_id} ({self.address})"

    @property
    def _machine_and_process(self) -> tuple[str, str]:
        prefix, _, rest = self.client_id.partition(":")
        machine, _, process = rest.rpartition(":")
        return (machine, process) if prefix == PREFIX and process.isdecimal() else ("", "")
