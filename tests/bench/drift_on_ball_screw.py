"""One machine's wear as drift sees it: BSD ball screws in the order they were taken, as one episode.

`python -m tests.bench.drift_on_ball_screw --picture docs/drift-ball-screw.png` with PATCHLINE_TEST_DATA; a minute. The
bank learns the first 150 pictures; all others follow by their time stamps, good ones and, from the fifth day on, those
with pitting.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from monitoring.drift.detector import Baseline, DriftState, follow
from monitoring.drift.reference import reference_of_bank
from tests.monitoring.drift.screws import decider_of, unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.drift.detector import Episode
    from monitoring.drift.observation import Observation

mpl.use("Agg")
LEARNT = 150
GOOD_COLOUR, PITTED_COLOUR, DRIFT_COLOUR = "#5b7c99", "#c0392b", "#222222"


@dataclass(frozen=True)
class Turn:
    """One picture of the machine, and what is known after it."""

    path: Path
    seen: Observation
    evidence: float
    episode: Episode | None

    @property
    def pitted(self) -> bool:
        """Whether its ground truth says pitting."""
        return self.path.parent.name == "pitting"


def in_order(folder: Path) -> list[Path]:
    """All pictures by time stamp: the second part of their name."""
    found = [*folder.glob("train/good/*"), *folder.glob("test/*/*")]
    return sorted(found, key=lambda path: (path.name.split("_")[1], path.name))


def turns(paths: Sequence[Path], learnt: int) -> tuple[list[Turn], float]:
    """The pictures after those that the bank learnt, followed; and its threshold."""
    decider = decider_of(paths[:learnt])
    threshold = decider.bank.manifest.threshold.value
    baseline = Baseline.of(reference_of_bank(decider.bank, threshold=threshold))
    state, found = DriftState.start(baseline), list[Turn]()
    for path, seen in zip(paths[learnt:], decider.observed(paths[learnt:], unchanged), strict=True):
        state = follow(state, seen, baseline)
        found.append(Turn(path, seen, min(state.evidence_ratio(baseline), 1.0), state.episode))
    return found, threshold


def openings(taken: Sequence[Turn]) -> list[tuple[int, str]]:
    """Where an episode opens or gets another name, and the word."""
    words = ["" if turn.episode is None else turn.episode.verdict.value for turn in taken]
    return [(n, word) for n, word in enumerate(words) if word and word != (words[n - 1] if n else "")]


def formatted(taken: Sequence[Turn]) -> str:
    """What happened, in a line."""
    first = next(n for n, turn in enumerate(taken) if turn.pitted)
    said = "; ".join(
        f"picture {n + 1} ({_day(taken[n].path)}): {word}, {sum(t.pitted for t in taken[first : n + 1])} pitted by then"
        for n, word in openings(taken)
    )
    return (
        f"{len(taken)} pictures, first pitting at {first + 1} ({_day(taken[first].path)}); {said or 'nothing noticed'}"
    )


def draw(taken: Sequence[Turn], threshold: float, path: Path) -> None:
    """Scores, the picture's brightness and the evidence over time, with the moment of detection."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- after its backend is chosen

    figure, (scores, light, evidence) = plt.subplots(
        3, 1, figsize=(9, 6.4), sharex=True, height_ratios=(3, 1.3, 1.3), layout="constrained"
    )
    at = np.arange(1, len(taken) + 1)
    pitted = np.array([turn.pitted for turn in taken])
    values = np.array([turn.seen.values for turn in taken])
    for mask, colour, name in ((~pitted, GOOD_COLOUR, "good"), (pitted, PITTED_COLOUR, "pitting")):
        scores.plot(at[mask], values[mask, 0] / threshold, ".", color=colour, label=name)
        light.plot(at[mask], values[mask, 1], ".", color=colour, markersize=3)
    scores.axhline(1.0, color="grey", linewidth=0.8)
    scores.set_ylabel("score_ratio")
    light.set_ylabel("brightness")
    evidence.semilogy(at, np.maximum([turn.evidence for turn in taken], 1e-6), color=DRIFT_COLOUR, linewidth=1)
    evidence.axhline(1.0, color="grey", linewidth=0.8)
    evidence.set_ylabel("evidence")
    evidence.set_xlabel("pictures of the machine after those that its bank learnt, in the order they were taken")
    for n, word in openings(taken):
        for axis in (scores, light, evidence):
            axis.axvline(n + 1, color=DRIFT_COLOUR, linewidth=1.2, linestyle="--")
        scores.annotate(
            f"{word}\n{_day(taken[n].path)}",
            (n + 1, 0.98),
            xycoords=("data", "axes fraction"),
            va="top",
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            backgroundcolor="white",
        )
    for axis in (scores, light, evidence):
        axis.axvline(int(np.argmax(pitted)) + 1, color=PITTED_COLOUR, linewidth=1.0, linestyle=":")
    scores.text(int(np.argmax(pitted)) + 5, 0.47, "first pitting", color=PITTED_COLOUR, fontsize=8)
    scores.legend(loc="upper left", fontsize=8)
    scores.set_title("BSD ball screw: what drift noticed, and when", fontsize=10)
    figure.savefig(path, dpi=110)


def _day(path: Path) -> str:
    stamp = path.name.split("_")[1]
    return f"20{stamp[:2]}-{stamp[2:4]}-{stamp[4:6]} {stamp[6:8]}:{stamp[8:10]}"


def main() -> None:
    """Print what happened, and draw it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    paths = in_order(Path(os.environ["PATCHLINE_TEST_DATA"]) / "bsdata/ball_screw")
    taken, threshold = turns(paths, LEARNT)
    sys.stdout.write(formatted(taken) + "\n")
    if asked.picture:
        draw(taken, threshold, asked.picture)


if __name__ == "__main__":
    main()
