"""The bank event that answers a command, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from deploy.output.bank_facts import short_version
from deploy.output.reports import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.bank_event import BankEvent


def report_event(event: BankEvent, json: Path | None) -> None:
    """Print an event, and write it where a file was asked for."""
    print_event(Console(), event)
    write_json(json, event.model_dump(mode="json", exclude_none=True))


def print_event(console: Console, event: BankEvent) -> None:
    """What happened to which view, by whom and why."""
    bank = f" bank [bold]{short_version(event.bank_version)}[/]" if event.bank_version else ""
    console.print(
        f"[green]{event.kind.value.replace('_', ' ')}[/]{bank} for {event.view}, epoch {event.epoch}, "
        f"by {escape(event.who)}: {escape(event.why)}",
        soft_wrap=True,
        highlight=False,
    )
