"""The bank event that answers a command, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from deploy.output.bank_facts import short_version

if TYPE_CHECKING:
    from rich.console import Console

    from ingest.bank_event import BankEvent


def print_event(console: Console, event: BankEvent) -> None:
    """What happened to which view, by whom and why."""
    bank = f" bank [bold]{short_version(event.bank_version)}[/]" if event.bank_version else ""
    console.print(
        f"[green]{event.kind.value.replace('_', ' ')}[/]{bank} for {event.view}, epoch {event.epoch}, "
        f"by {escape(event.who)}: {escape(event.why)}",
        soft_wrap=True,
        highlight=False,
    )
