"""The logs of a service: one line an event, key=value, to stderr; what libraries log looks the same."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.processors import LogfmtRenderer, TimeStamper, add_log_level, format_exc_info

if TYPE_CHECKING:
    from structlog.typing import Processor

CLIENT_EVENT = "kafka_client"
"""The event name under which the Kafka adapter logs its client library."""
KEY_ORDER = ("timestamp", "level", "service", "event")


class _Stderr(io.TextIOBase):
    """`sys.stderr` as it is when a line is written: whoever replaces it for a while may close what was there."""

    def write(self, text: str, /) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


_STDERR = cast("TextIO", _Stderr())


def configure_logs(service: str, *, quiet: bool = False) -> None:
    """Send every log line of this process to stderr, named after its service; `quiet` lets only warnings through."""
    level = logging.WARNING if quiet else logging.INFO

    def name_the_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        *([_without_the_client] if quiet else []),
        structlog.contextvars.merge_contextvars,
        add_log_level,
        TimeStamper(fmt="iso", utc=True),
        name_the_service,
        format_exc_info,
        _lists_as_words,
    ]
    render = LogfmtRenderer(key_order=KEY_ORDER, drop_missing=True, bool_as_flag=False)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_STDERR),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_STDERR)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=render))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)  # libraries speak when it matters


def _lists_as_words(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Several values of one key stand behind commas, without Python's brackets and quotes."""
    return {
        key: ",".join(map(str, value)) if isinstance(value, list | tuple) else value for key, value in event.items()
    }


def _without_the_client(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The Kafka client's lines on its event loop are of use to services, not to a person at a terminal."""
    if event.get("event") == CLIENT_EVENT:
        raise structlog.DropEvent
    return event
