"""The report of `patchline threshold`: the threshold in force and the requested one, rejects by shift, changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from deploy.output.bank_facts import short_version
from ingest.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from deploy.history.requested_threshold import RequestedThreshold
    from deploy.history.threshold_replay import Tally, ThresholdReplay
    from ingest.bank_event import BankEvent
    from ingest.bank_state import BankInForce

COUNTED = (Verdict.FAIL, Verdict.UNDECIDED)


@dataclass(frozen=True)
class ThresholdReport:
    """A replay with what was requested; `threshold` is the request as a distance of the bank in force, where known."""

    view: str
    in_force: BankInForce
    requested: RequestedThreshold
    threshold: float | None
    replay: ThresholdReplay

    def print_to(self, console: Console) -> None:
        """For people."""
        console.print(f"Bank {short_version(self.in_force.version)}: {self._thresholds()}", highlight=False)
        console.print(self._table())
        for line in self._changes():
            console.print(line, highlight=False)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        replay = self.replay
        return {
            "view": self.view,
            "bank": self.in_force.version,
            "threshold": self.in_force.threshold,
            "requested": {
                "false_reject_ratio": self.requested.false_reject_ratio,
                "threshold": self.threshold,
                "band": self.requested.band,
            },
            "whole": _counts(replay.whole),
            "shifts": [{"from": begun.isoformat(), **_counts(tally)} for begun, tally in sorted(replay.shifts.items())],
            "changes": [{"was": was, "would_be": now, "frames": n} for (was, now), n in sorted(replay.changes.items())],
            "not_judged": replay.not_judged,
        }

    def _thresholds(self) -> str:
        in_force = self.in_force.threshold
        text = f"threshold [bold]{in_force:.4g}[/]"
        if self.threshold is None or self.threshold == in_force:
            return text
        return f"{text}, requested [bold]{self.threshold:.4g}[/] ({self.threshold / in_force:.2f} of it)"

    def _changes(self) -> Iterator[str]:
        for (was, now), count in sorted(self.replay.changes.items()):
            yield f"{count} frames: {was.value}, would have been [bold]{now.value}[/]"
        if self.replay.not_judged:
            yield f"{self.replay.not_judged} frames were decided by banks to which this threshold does not apply."

    def _table(self) -> Table:
        compared, shifts = self.requested.changes_anything, self.replay.shifts
        names = [verdict.value for verdict in COUNTED]
        heads = [head for name in names for head in ((name, f"{name} as requested") if compared else (name,))]
        table = Table("shift from", "frames", *heads)
        for column in table.columns[1:]:
            column.justify = "right"
        for begun, tally in sorted(shifts.items()):
            table.add_row(f"{begun:%a %d %b %H:%M}", *_cells(tally, compared=compared))
        if len(shifts) > 1:
            table.add_row("all", *_cells(self.replay.whole, compared=compared), style="bold")
        return table


def lasting_words(event: BankEvent) -> str:
    """How long a threshold holds that was just put in force."""
    if event.facts.get("by_settings"):
        return "The view goes by its settings again."
    ratio = event.facts.get("false_reject_ratio")
    share = "it" if ratio is None else f"{100 * float(ratio):.3g} % of false rejects"
    return f"It lasts: every later bank keeps {share}, until another --apply; --by-settings --apply takes it back."


def _cells(tally: Tally, *, compared: bool) -> list[str]:
    cells = [str(tally.frames)]
    for verdict in COUNTED:
        cells += [str(tally.was[verdict]), *([str(tally.now[verdict])] if compared else [])]
    return cells


def _counts(tally: Tally) -> dict[str, Any]:
    return {"frames": tally.frames, "was": dict(tally.was), "would_be": dict(tally.now)}
