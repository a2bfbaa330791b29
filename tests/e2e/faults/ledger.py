"""The ledger of the long run: a JSON line per trial, what is still to be tried, and the table."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from tests.e2e.faults.fault import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


def entries(ledger: Path) -> list[Trial]:
    """The trials of a ledger; a last line that was cut off in writing is none."""
    if not ledger.exists():
        return []
    *lines, last = ledger.read_text().split("\n")
    whole = [*lines, last] if last.endswith("}") else lines
    found = [json.loads(line) for line in whole if line]
    return [Trial(**{**each, "wrong": tuple(each["wrong"])}) for each in found]


def enter(ledger: Path, trial: Trial) -> None:
    """One line more."""
    with ledger.open("a") as lines:
        lines.write(json.dumps(asdict(trial)) + "\n")


def to_try(names: Sequence[str], trials: int, done: Iterable[Trial]) -> Iterator[tuple[str, int]]:
    """Fault and seed of what is not in the ledger yet: every fault once, then every fault again."""
    known = {(each.fault, each.seed) for each in done}
    return ((name, seed) for seed in range(trials) for name in names if (name, seed) not in known)


def table(trials: Sequence[Trial]) -> str:
    """Markdown: per fault and over all the trials, what was lost and doubled, and how long recovery took."""
    by_fault: dict[str, list[Trial]] = {}
    for each in trials:
        by_fault.setdefault(each.fault, []).append(each)
    rows = [_row(name, found) for name, found in by_fault.items()]
    head = ["| fault | trials | frames | lost | doubled | recovery, median | worst |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows, _row("all", trials)])


def _row(name: str, trials: Sequence[Trial]) -> str:
    seconds = [each.recovery_seconds for each in trials]
    sent, lost, doubled = (sum(getattr(each, what) for each in trials) for what in ("sent", "lost", "doubled"))
    figures = (name, len(trials), f"{sent:,}", lost, doubled, f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
    return f"| {' | '.join(map(str, figures))} |"
