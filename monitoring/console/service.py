"""The console as a service: its objects are wired here, and served until it is told to stop."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
import uvicorn

from monitoring.console.accounts import Accounts, LoginTries
from monitoring.console.app import console_app
from monitoring.console.context import Console
from monitoring.console.live import LiveViews
from monitoring.console.pictures import ConsolePictures, KafkaPictures, RecentBanks
from monitoring.console.requests_to_trainer import TrainerMessages
from monitoring.health import Heartbeat, PortInUse
from monitoring.record.database import Database
from monitoring.record.queries import RecordReader
from monitoring.shifts import hours_from
from monitoring.watchdog import Watchdog

if TYPE_CHECKING:
    from threading import Event

    from ingest.claims import Claims
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store
    from monitoring.console.settings import ConsoleSettings

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2
"""For answers under way once it is told to stop."""
BEAT_SECONDS = 5
SILENCE_SECONDS = 60.0
"""Longest silence of the server's loop, which only hands requests on."""


def serve(
    settings: ConsoleSettings, *, database: str, kafka: KafkaSettings, store: Store, claims: Claims, stop: Event
) -> None:
    """Serve pages until `stop` is set.

    Raises:
        PortInUse: another process listens on the port.
        DatabaseError: the history's database cannot be opened.
        BadShifts, MissingOidc: a setting cannot be followed.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(Database.open(database))
        console = console_of_parts(settings, opened, kafka=kafka, store=store, claims=claims, stop=stop)
        stack.callback(console.messages.close)
        console.live.start()
        listener = stack.enter_context(_listening(settings.host, settings.port))
        port = listener.getsockname()[1]
        heartbeat = Heartbeat(limit_seconds=SILENCE_SECONDS, clock=time.monotonic)
        stack.enter_context(Watchdog(heartbeat))

        async def beat() -> None:
            heartbeat.beat()

        server = uvicorn.Server(
            uvicorn.Config(
                console_app(console),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                callback_notify=beat,
                timeout_notify=BEAT_SECONDS,
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours set `stop`
        threading.Thread(target=_end_with, args=(server, stop), daemon=True).start()
        log.info("console_ready", address=f"http://{settings.host}:{port}")
        server.run(sockets=[listener])


def console_of_parts(
    settings: ConsoleSettings, database: Database, *, kafka: KafkaSettings, store: Store, claims: Claims, stop: Event
) -> Console:
    """The objects behind the pages. Raises BadShifts."""
    reader, banks = RecordReader(database), RecentBanks(store)
    return Console(
        settings=settings,
        reader=reader,
        accounts=Accounts(database),
        tries=LoginTries(),
        store=store,
        banks=banks,
        pictures=ConsolePictures(store, banks, KafkaPictures(kafka, claims)),
        messages=TrainerMessages(kafka),
        live=LiveViews(reader, stop),
        shift_hours=hours_from(settings.shifts),
        clock=lambda: datetime.now(UTC),
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortInUse(host, port) from error
    return listener


def _end_with(server: uvicorn.Server, stop: Event) -> None:
    stop.wait()
    server.should_exit = True
