"""The fortnight as one picture and two tables: `python -m tests.bench.fortnight_picture ROWS.jsonl PICTURE.png`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from scipy.stats import binomtest

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


MOST_RATIO = 2
"""Times the false rejects that were asked for, on any day."""


def counted(rows: Rows, truth: str, kind: str = "failed") -> tuple[int, int]:
    """Of a day's frames of this truth, over all seeds, how many failed, or were undecided, and how many there were."""
    return sum(row[kind].get(truth, 0) for row in rows), sum(row["frames"].get(truth, 0) for row in rows)


def share(rows: Rows, truth: str, kind: str = "failed") -> float | None:
    """The same as a share."""
    some, frames = counted(rows, truth, kind)
    return some / frames if frames else None


def interval(rows: Rows, truth: str) -> tuple[float, float]:
    """The exact interval of that share, 95 % (Clopper and Pearson)."""
    some, frames = counted(rows, truth)
    found = binomtest(some, frames).proportion_ci(confidence_level=0.95, method="exact")
    return float(found.low), float(found.high)


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
        runs = len({row["seed"] for of in days.values() for row in of})
        label = f"{name}, {runs} {'run' if runs == 1 else 'runs'}"
        above.plot(*zip(*marked, strict=True), "o-", color=colour, label=label, linewidth=2.5)
        below.plot(*zip(*good, strict=True), "o-", color=colour, linewidth=2)
        if gate:
            low, high = zip(*(interval(days[day], "good") for day, _ in good), strict=True)
            below.fill_between(
                [day for day, _ in good],
                low,
                high,
                color=colour,
                alpha=0.12,
                linewidth=0,
                label="what chance leaves open, gate on (95 %)",
            )
    below.axhline(MOST_RATIO * FALSE_REJECT_RATIO, color=GRAY, linestyle=":", label="twice what was asked for")
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
    below.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2)
    below.set_xlabel("day")
    below.set_xticks(range(1, DAYS + 1))
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def tables(rows: Rows) -> list[str]:
    """Day by day, and what was asked for, as Markdown."""
    heads = ["day", "good rejected: on", "interval", "off", "marked found: on", "off", "variant rejected: on", "off"]
    heads += ["questions: on", "off"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    on, off = (by_day(rows, gate=gate) for gate in (True, False))
    for day in sorted(on.keys() | off.keys()):
        cells = [_cell(of.get(day, []), truth) for truth in ("good", "repeating", "variant") for of in (on, off)]
        cells.insert(1, _interval(on.get(day, [])))
        asked = [_mean([row["questions"] for row in of.get(day, [])]) for of in (on, off)]
        lines.append(f"| {day} | {' | '.join([*cells, *asked])} |")
    lines += ["", "| | gate on | gate off |", "|---|---|---|"]
    for name, value in (
        ("marked parts found, last day over first day", _recall_kept),
        ("false rejects over the asked rate, worst day", _worst_day),
        ("days over twice what was asked for, all runs together; for certain", _days_over),
        ("the same, each day of each run", _days_over_of_runs),
        ("questions in 14 days, mean and most", _questions),
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


def _days_over(days: dict[int, Rows]) -> str:
    return _over([of for of in days.values() if share(of, "good") is not None])


def _days_over_of_runs(days: dict[int, Rows]) -> str:
    return _over([[row] for of in days.values() for row in of if share([row], "good") is not None])


def _over(some: list[Rows]) -> str:
    """How many are above the limit, how many of them with their whole interval, of how many."""
    limit = MOST_RATIO * FALSE_REJECT_RATIO
    above = sum((share(of, "good") or 0.0) > limit for of in some)
    return f"{above} of {len(some)}; {sum(interval(of, 'good')[0] > limit for of in some)}"


def _questions(days: dict[int, Rows]) -> str:
    asked = [row["questions"] for row in days.get(DAYS, [])]
    return f"{_mean(asked)}, {max(asked)}" if asked else ""


def _cell(rows: Rows, truth: str) -> str:
    some, frames = counted(rows, truth)
    return f"{some} of {frames} ({_percent(some / frames)})" if frames else ""


def _interval(rows: Rows) -> str:
    if not counted(rows, "good")[1]:
        return ""
    low, high = interval(rows, "good")
    return f"{_percent(low)} to {_percent(high)}"


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
