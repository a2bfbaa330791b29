"""False alarms and delays of drift on real screws.

`python -m tests.bench.drift_on_screws --streams 30 --seed 0` with PATCHLINE_TEST_DATA; two minutes on two cores.
False alarms: streams of 10,000 decisions drawn anew from held-out screws of the window's session, 2 % defects.
Delays: 1,000 undisturbed frames, then the change, 20 times; what is not found within 3,000 frames counts as such.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.follow import Baseline, Following, follow
from tests.monitoring.drift.lines import followed
from tests.monitoring.drift.screws import DEFECTS, Screws, blur, drawn, gain, screws, smaller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.drift.observation import Observation

CHANGES = [
    *((f"gain {factor}", gain(factor)) for factor in (0.6, 0.8, 0.9, 1.2)),
    *((f"blur {sigma} px", blur(sigma)) for sigma in (4, 8)),
    ("smaller part", smaller),
]
STREAM, SETTLING, PATIENCE, REPEATS = 10_000, 1000, 3000, 20


def false_alarms(real: Screws, baseline: Baseline, seed: int) -> Counter[str]:
    """Episodes that open on one undisturbed stream, by verdict."""
    rng, state, opened = np.random.default_rng(seed), Following.start(baseline), Counter[str]()
    for _ in range(STREAM):
        before, state = state, follow(state, drawn(rng, real.clean, real.defective, DEFECTS), baseline)
        if state.episode is not None and before.episode is None:
            opened[state.episode.verdict.value] += 1
    return opened


def delay(real: Screws, baseline: Baseline, pool: Sequence[Observation], rate: float, seed: int) -> tuple[int, str]:
    """Frames from the change to the episode, and its verdict; PATIENCE and nothing where none opens."""
    rng = np.random.default_rng(1000 + seed)
    usual = (drawn(rng, real.clean, real.defective, DEFECTS) for _ in range(SETTLING))
    state = followed(Following.start(baseline), usual, baseline)
    if state.episode is not None:
        return 0, "before the change"
    state = followed(state, (drawn(rng, pool, real.defective, rate) for _ in range(PATIENCE)), baseline)
    return state.seen - SETTLING, state.episode.verdict.value if state.episode is not None else "not found"


def main() -> None:
    """Print a line of each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folder = Path(os.environ["PATCHLINE_TEST_DATA"]) / "mvtec_ad/screw"
    real = screws(folder, np.random.default_rng(asked.seed), window=200, held_out=124, changes=CHANGES)
    baseline = Baseline.of(real.reference)
    opened = sum((false_alarms(real, baseline, seed) for seed in range(asked.streams)), Counter[str]())
    told = [f"false alarms in {asked.streams} streams of {STREAM} decisions: {opened.total()} {dict(opened)}"]
    lines = [(name, pool, DEFECTS) for name, pool in real.changed.items()]
    lines += [("another session", real.other_session, DEFECTS)]
    lines += [(f"defects from 2 to {share:.0%}", real.clean, share) for share in (0.1, 0.2)]
    for name, pool, rate in lines:
        found = [delay(real, baseline, pool, rate, seed) for seed in range(REPEATS)]
        frames, words = [count for count, _ in found], Counter(word for _, word in found)
        told.append(f"{name}: median {median(frames):g}, most {max(frames)} frames {dict(words)}")
    sys.stdout.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
