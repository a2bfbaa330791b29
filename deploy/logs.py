"""The logs of a service: one line an event, key=value, to stderr; what libraries log looks the same."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog
from structlog.processors import LogfmtRenderer, TimeStamper, add_log_level, format_exc_info

if TYPE_CHECKING:
    from structlog.typing import Processor

KEY_ORDER = ("timestamp", "level", "service", "event")


def configure_logs(service: str, *, quiet: bool = False) -> None:
    """Send every log line of this process to stderr, named after its service; `quiet` lets only warnings through."""
    level = logging.WARNING if quiet else logging.INFO

    def name_the_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_log_level,
        TimeStamper(fmt="iso", utc=True),
        name_the_service,
        format_exc_info,
    ]
    render = LogfmtRenderer(key_order=KEY_ORDER, drop_missing=True)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=render))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)  # libraries speak when it matters
