"""The inspection's network: opened while the health pages answer, and which engine TensorRT is compiling meanwhile."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from softpatch.network.embed import Embedder
    from softpatch.network.engines import Compiling, Engine

log = structlog.get_logger(__name__)

WAIT_SECONDS = 0.2


class OpenedNetwork(NamedTuple):
    """The network, and why it does not run on a GPU that it could have been for; empty where nothing was refused."""

    embedder: Embedder
    refused: str

    @property
    def sentence(self) -> str:
        """What a person should know of it; empty where there is nothing."""
        embedder = self.embedder
        return (
            f"The network runs on {embedder.provider}, {embedder.precision} ({self.refused})." if self.refused else ""
        )


class EnginesCompiling:
    """The engines that are being compiled now, for the log and `/readyz`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: dict[Engine, float] = {}

    @contextmanager
    def compiling(self, engine: Engine) -> Iterator[None]:
        """Enter it while an engine is compiled; see `softpatch.network.engines.Compiling`."""
        began = self._began[engine] = self._clock()
        log.info("engine_compiling", engine=str(engine))
        try:
            yield
        except Exception as error:
            log.error("engine_not_compiled", engine=str(engine), cause=str(error))  # noqa: TRY400 -- its caller says where
            raise
        else:
            log.info("engine_compiled", engine=str(engine), seconds=round(self._clock() - began, 1))
        finally:
            del self._began[engine]

    @property
    def sentence(self) -> str:
        """What is compiled, and since when; empty where nothing is."""
        began = list(self._began.items())
        each = (f"{engine}, for {self._clock() - since:.0f} s" for engine, since in began)
        return f"TensorRT is compiling an engine: {'; '.join(each)}." if began else ""


def opened_beside(
    open_network: Callable[[Compiling], OpenedNetwork], compiling: Compiling, stop: Event
) -> OpenedNetwork | None:
    """Open the network on a thread of its own, which may take minutes; None where `stop` is set before it is open.

    Raises:
        Exception: whatever opening it raised.
    """
    opened: list[OpenedNetwork] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            opened.append(open_network(compiling))
        except BaseException as error:  # noqa: BLE001 -- carried to the caller's thread, which raises it
            failures.append(error)

    thread = Thread(target=run, name="network", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(WAIT_SECONDS)
    if failures:
        raise failures[0]
    return opened[0] if opened else None
