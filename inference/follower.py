"""The thread that follows the `banks` topic and keeps the active banks as it says, without holding up the scoring."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import structlog

from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.readers import WholeTopicReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.banks import ActiveBanks
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
CLOSE_SECONDS = 10.0


class BankFollower:
    """Runs while it is entered. `ready` is set once every bank in force at the start was loaded or refused."""

    def __init__(
        self, banks: ActiveBanks, kafka: KafkaSettings, *, retry_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._banks = banks
        self._kafka = kafka
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._stop = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="banks", daemon=True)
        self.ready = Event()

    def check(self) -> None:
        """Raises what ended the thread, if something did: a service that follows no banks must not go on."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop following; a bank that is being loaded is loaded first, unless TensorRT compiles an engine for it."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("bank_left_unloaded", seconds=CLOSE_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001 -- carried to the loop's thread, which raises it
            self._failure = error

    def _follow(self) -> None:
        with WholeTopicReader.open(self._kafka, topics=[self._kafka.topic("banks")], stop=self._stop) as reader:
            self._banks.take(self._whole(reader))
            self._wait_for_store()
            self.ready.set()
            asked_at = self._clock()
            while not self._stop.is_set():
                self._banks.take(self._poll(reader))
                if self._clock() - asked_at >= self._retry_seconds:
                    self._banks.retry()
                    asked_at = self._clock()

    def _whole(self, reader: WholeTopicReader) -> list[Record]:
        """All of the topic first: only each view's last state is worth loading a bank for."""
        records: list[Record] = []
        while not (self._stop.is_set() or reader.caught_up):
            records.extend(self._poll(reader))
        return records

    def _wait_for_store(self) -> None:
        """While a store does not answer yet, as after a power cut, all frames would be undecided for want of banks."""
        while self._banks.store_fault is not None and not self._stop.wait(self._retry_seconds):
            self._banks.retry()

    def _poll(self, reader: WholeTopicReader) -> list[Record]:
        try:
            return reader.poll(POLL_SECONDS)
        except BrokerUnreachable as error:
            log.warning("banks_not_read", cause=str(error))
            self._stop.wait(POLL_SECONDS)
            return []
