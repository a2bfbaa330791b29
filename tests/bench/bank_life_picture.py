"""Picture and tables of docs/bank-life.md from measured rows.

`python -m tests.bench.bank_life_picture WHAT_REPEATS BANK_LIFE PNG INPUT`: of the rows at that input, `auto` or `fast`,
writes the picture and prints the tables.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from tests.bench.bank_life import SPREADING
from tests.bench.repeating_marks import MARK_NAMES, PLACES, STAIN
from tests.bench.what_repeats import GOOD_FRAMES, known_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

mpl.use("Agg")
from matplotlib import pyplot as plt

Row = dict[str, Any]

COLOURS = {"ask": "tab:blue", "learn": "tab:orange"}
NAMES = {"ask": "asks about groups (default)", "learn": "learns what repeats"}
BARS_SHARE = 0.1
FOUND_LIMIT = 0.95
"""Of what is found in a window without the mark, the least that issue and page call kept."""


def draw(rows: Sequence[Row], life: Sequence[Row], path: Path) -> None:
    """Left: builds in a row while a mark spreads. Right: single windows, a tenth of which carries a mark."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    for policy, colour in COLOURS.items():
        found = [row["found"] for row in life if row["case"].startswith("rebuilds") and row["case"].endswith(policy)]
        for each in found:
            left.plot(range(1, len(each) + 1), each, color=colour, alpha=0.35, linewidth=1)
        means = [mean(each) for each in zip(*found, strict=True)]
        left.plot(range(1, len(means) + 1), means, color=colour, marker="o", label=NAMES[policy])
    left.set_xticks(range(1, len(SPREADING) + 1))
    left.set_xticklabels([f"build {i}\n{share:.0%} marked" for i, share in enumerate(SPREADING, 1)])
    left.set_ylabel("new parts with the mark that fail")
    left.set_title("Four builds, the mark spreads, nobody answers", fontsize=10)
    left.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    left.set_ylim(0, 1.05)
    left.grid(alpha=0.3)
    _bars(right, rows)
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, fontsize=9, loc="lower center", ncols=len(handles))
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axis: Any, rows: Sequence[Row]) -> None:  # noqa: ANN401 - Axes has no stubs
    """Per window what is found without the mark, and with it by either policy."""
    pits = {(row["line"], row["window"], row["share"], row["policy"]): row["found"] for row in rows if not row["mark"]}
    windows = sorted({(line, window) for line, window, share, _ in pits if share == BARS_SHARE and line in PLACES})
    series = [
        ("no mark in the window", "tab:gray", 0.0, "learn"),
        *((NAMES[policy], colour, BARS_SHARE, policy) for policy, colour in COLOURS.items()),
    ]
    for place, (name, colour, share, policy) in enumerate(series):
        known = [(i, pits.get((*window, share, policy))) for i, window in enumerate(windows)]
        drawn = [(i + 0.27 * (place - 1), found) for i, found in known if found is not None]
        axis.bar(*zip(*drawn, strict=True), width=0.25, color=colour, label=name)
    axis.set_xticks(range(len(windows)))
    axis.set_xticklabels(["\n".join([*line.split("_"), str(window)]) for line, window in windows], fontsize=7)
    axis.set_title("A mark on a tenth of the window; frames below", fontsize=10)
    axis.grid(alpha=0.3, axis="y")


def window_table(rows: Sequence[Row]) -> Iterator[str]:
    """A line per window with a mark, beside the same window without it, learnt whole."""
    by_key: dict[tuple[object, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_key[row["line"], row["mark"], row["window"], row["share"]][row["policy"]] = row
    yield "| line, frames | mark | share | found at 0 % | found: asks | learns | good rejected at 0 % | asks | learns |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (line, mark, frames, share), row in sorted(by_key.items(), key=str):
        clean = by_key.get((line, mark, frames, 0.0))
        if share and clean and len(row) == len(COLOURS):
            name = MARK_NAMES[mark] if line in PLACES else "real"
            cells = [f"{line}, {frames}", name, f"{share:.0%}", *_columns("found", clean, row)]
            yield "| " + " | ".join([*cells, *_columns("good_rejected", clean, row)]) + " |"


def _columns(name: str, clean: dict[str, Row], row: dict[str, Row]) -> list[str]:
    return [f"{each[name]:.1%}" for each in (clean["learn"], row["ask"], row["learn"])]


def kept(rows: Sequence[Row]) -> Iterator[str]:
    """By share, in how many windows as much is found as at 0 %, and good rejects stay within 1.5 times those at 0 %."""
    unmarked = [row for row in rows if not row["share"] and row["policy"] == "learn"]
    clean = {(row["line"], row["mark"], row["window"]): row for row in unmarked}
    yield "| share of the window | windows | still found: asks | learns | good rejects kept: asks | learns |"
    yield "|---|---|---|---|---|---|"
    for share in sorted({row["share"] for row in rows if row["share"]}):
        counts = []
        pairs = [(row, clean.get((row["line"], row["mark"], row["window"]))) for row in rows if row["share"] == share]
        known = [(row, before) for row, before in pairs if before is not None and row["line"] in PLACES]
        for holds in (_still_found, _rejects_no_more):
            counts += [
                sum(holds(row, before) for row, before in known if row["policy"] == policy) for policy in COLOURS
            ]
        windows = sum(row["policy"] == "ask" for row, _ in known)
        yield f"| {share:.0%} | {windows} | " + " | ".join(map(str, counts)) + " |"


def by_line(rows: Sequence[Row]) -> Iterator[str]:
    """By line and length, over all marks and draws: what is found over what the windows without the mark find."""
    key = lambda row: (row["line"], row["mark"], row["frames"], row.get("draw", 0))  # noqa: E731
    clean = {key(row): row for row in rows if not row["share"] and row["policy"] == "ask"}
    groups: dict[tuple[object, ...], list[tuple[Row, Row]]] = defaultdict(list)
    for row in rows:
        if row["share"] and row["policy"] == "ask" and key(row) in clean:
            groups[row["line"], row["frames"], row["share"] <= BARS_SHARE].append((row, clean[key(row)]))
    yield "| line, frames | share | windows | of them 0.95 | found, over all | good rejected, at 0 % |"
    yield "|---|---|---|---|---|---|"
    for (line, frames, few), pairs in sorted(groups.items()):
        found, before, rejected, at_none = (
            mean(pair[side][name] for pair in pairs) for name in ("found", "good_rejected") for side in (0, 1)
        )
        counts = f"{len(pairs)} | {sum(_still_found(*pair) for pair in pairs)} | {found / before if before else 1:.2f}"
        share = f"{'to' if few else 'over'} {BARS_SHARE:.0%}"
        yield f"| {line}, {frames} | {share} | {counts} | {rejected:.1%}, {at_none:.1%} |"


def _still_found(row: Row, clean: Row) -> bool:
    return bool(row["found"] >= FOUND_LIMIT * clean["found"])


def _rejects_no_more(row: Row, clean: Row) -> bool:
    """One more of the frames tested is allowed: fewer cannot be told apart."""
    return bool(row["good_rejected"] <= max(1.5 * clean["good_rejected"], clean["good_rejected"] + 1.01 / GOOD_FRAMES))


def main() -> None:
    """The picture into its file, the tables on the screen."""
    size = sys.argv[4]
    rows, life = ([row for row in known_rows(Path(each)) if row["input"] == size] for each in sys.argv[1:3])
    every, rows = rows, [row for row in rows if not row.get("draw")]
    draw(rows, life, Path(sys.argv[3]))
    whole, small = ([row for row in rows if (row["mark"] > STAIN) == is_small] for is_small in (False, True))
    tables = (*window_table(rows), "", *kept(whole), "", *kept(small), "", *by_line(every), "")
    print(*tables, *life, sep="\n")  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
