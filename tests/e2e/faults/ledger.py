"""The ledger of the long run: a JSON line per trial, what is still to be tried, and the table.

`python -m tests.e2e.faults.ledger FILE` prints the table.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.e2e.faults.fault import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


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


def table(trials: Iterable[Trial]) -> str:
    """Markdown: per fault its trials, what was lost and doubled, and how long recovery took."""
    by_fault: dict[str, list[Trial]] = {}
    for each in trials:
        by_fault.setdefault(each.fault, []).append(each)
    rows = ["| fault | trials | frames | lost | doubled | recovery, median | worst |", "|---|---|---|---|---|---|---|"]
    for name, found in by_fault.items():
        seconds = [each.recovery_seconds for each in found]
        sent, lost, doubled = (sum(getattr(each, what) for each in found) for what in ("sent", "lost", "doubled"))
        figures = (name, len(found), sent, lost, doubled, f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
        rows.append(f"| {' | '.join(map(str, figures))} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(entries(Path(sys.argv[1]))))  # noqa: T201 -- what it is for
