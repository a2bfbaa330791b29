"""The fortnight as one picture and two tables: `python -m tests.bench.fortnight_picture ROWS.jsonl PICTURE.png`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from ingest.cameras.fortnight import DAYS, DUST_DAY, IDLE_DAYS, KNOCK_DAY, REPEATING_FROM, VARIANT_FROM
from tests.bench.fortnight import FALSE_REJECT_RATIO

RED, GREEN, GRAY = "#c81e28", "#1e824c", "#687080"
HAPPENS = {
    VARIANT_FROM: "a new variant",
    REPEATING_FROM: "a tool begins to mark parts",
    IDLE_DAYS[0]: "weekend",
    KNOCK_DAY: "camera knocked",
    DUST_DAY: "dust on the lens",
}

Rows = list[dict[str, Any]]


def share(rows: Rows, truth: str, kind: str = "failed") -> float | None:
    """Of a day's frames of this truth, over all seeds, the share that failed, or was undecided."""
    frames = sum(row["frames"].get(truth, 0) for row in rows)
    return sum(row[kind].get(truth, 0) for row in rows) / frames if frames else None


def by_day(rows: Rows, *, gate: bool) -> dict[int, Rows]:
    """The rows of each day, one a seed."""
    found: dict[int, Rows] = defaultdict(list)
    for row in rows:
        if row["gate"] is gate:
            found[row["day"]].append(row)
    return found


def draw(rows: Rows, file: Path) -> None:
    """Marked parts found, and good parts rejected, day by day, with the gate and without."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 7), sharex=True, height_ratios=(3, 2))
    for gate, colour, name in ((True, GREEN, "gate on"), (False, RED, "gate off")):
        days = by_day(rows, gate=gate)
        if not days:
            continue
        marked = [(day, value) for day in days if (value := share(days[day], "repeating")) is not None]
        good = [(day, value) for day in days if (value := share(days[day], "good")) is not None]
        above.plot(*zip(*marked, strict=True), "o-", color=colour, label=name, linewidth=2.5)
        below.plot(*zip(*good, strict=True), "o-", color=colour, linewidth=2)
    below.axhline(2 * FALSE_REJECT_RATIO, color=GRAY, linestyle=":", label="twice what was asked for")
    for axis in (above, below):
        axis.axvspan(IDLE_DAYS[0] - 0.5, IDLE_DAYS[-1] + 0.5, color="#eeeeee")
        axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        axis.spines[["top", "right"]].set_visible(False)
    for day, what in HAPPENS.items():
        above.annotate(what, (day, 1.06), rotation=20, fontsize=9, color=GRAY, annotation_clip=False)
    above.set_ylim(-0.03, 1.05)
    above.set_title("Parts with the tool's mark that are rejected", loc="left", pad=52, fontweight="bold")
    below.set_title("Good parts that are rejected", loc="left", fontweight="bold")
    above.legend(frameon=False, loc="lower left")
    below.legend(frameon=False, loc="upper left")
    below.set_xlabel("day")
    below.set_xticks(range(1, DAYS + 1))
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def tables(rows: Rows) -> list[str]:
    """Day by day, and what was asked for, as Markdown."""
    lines = [
        "| day | good rejected: on | off | marked found: on | off | variant rejected: on | off | questions: on | off |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    on, off = (by_day(rows, gate=gate) for gate in (True, False))
    for day in sorted(on.keys() | off.keys()):
        cells = [
            _percent(share(of.get(day, []), truth)) for truth in ("good", "repeating", "variant") for of in (on, off)
        ]
        asked = [_mean([row["questions"] for row in of.get(day, [])]) for of in (on, off)]
        lines.append(f"| {day} | {' | '.join([*cells, *asked])} |")
    lines += ["", "| | gate on | gate off |", "|---|---|---|"]
    for name, value in (
        ("marked parts found, last day over first day", _recall_kept),
        ("false rejects over the asked rate, worst day", _worst_day),
        ("questions in 14 days", lambda days: _mean([row["questions"] for row in days.get(DAYS, [])])),
        ("store at the end over day 3", lambda days: _growth(days, "store_bytes")),
        ("memory of the trainer at the end over day 3", lambda days: _growth(days, "train")),
        ("memory of the inspection at the end over day 3", lambda days: _growth(days, "inspect")),
    ):
        lines.append(f"| {name} | {value(on)} | {value(off)} |")
    return lines


def _recall_kept(days: dict[int, Rows]) -> str:
    first, last = (share(days.get(day, []), "repeating") for day in (REPEATING_FROM, DAYS))
    return "" if not first or last is None else f"{last / first:.2f} ({_percent(last)} / {_percent(first)})"


def _worst_day(days: dict[int, Rows]) -> str:
    worst = max(((share(of, "good") or 0.0, day) for day, of in days.items()), default=(0.0, 0))
    return f"{worst[0] / FALSE_REJECT_RATIO:.1f} (day {worst[1]})"


def _growth(days: dict[int, Rows], what: str) -> str:
    def size(day: int) -> float:
        rows = days.get(day, [])
        return sum(row[what] if what in row else row["rss_bytes"][what] for row in rows)

    return f"{size(DAYS) / size(3):.2f}" if size(3) else ""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _mean(values: list[int]) -> str:
    return f"{sum(values) / len(values):.3g}" if values else ""


def main() -> None:
    """Draw, and print the tables."""
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    draw(rows, Path(sys.argv[2]))
    print(*tables(rows), sep="\n")  # noqa: T201 -- what it is for


if __name__ == "__main__":
    main()
