"""False alarms and delays of drift on real screws.

`python -m tests.bench.drift_on_screws --streams 200 --seed 0` with PATCHLINE_TEST_DATA; ten minutes on two cores.
False alarms: streams of 10,000 decisions drawn anew from held-out screws of the window's session, 2 % defects.
Delays: the change after 1,000 undisturbed frames, 20 times; a rising defect rate after 5,000. What is not found within
6,000 frames counts as such.
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
from scipy.stats import chi2, norm

from monitoring.drift.detector import Baseline, DriftState, follow
from tests.monitoring.drift.screws import DEFECTS, Screws, blur, drawn, gain, screws, smaller
from tests.monitoring.drift.synthetic_streams import followed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.drift.observation import Observation

CHANGES = [
    *((f"gain {factor}", gain(factor)) for factor in (0.6, 0.8, 0.9, 1.2)),
    *((f"blur {sigma} px", blur(sigma)) for sigma in (4, 8)),
    ("smaller part", smaller),
]
RISES = (0.1, 0.2)
STREAM, SETTLING, DEFECTS_SETTLING, PATIENCE, REPEATS = 10_000, 1000, 5000, 6000, 20
FALSE_ALARM_FRAMES = 10_000
"""What the bound on a rising defect rate allows: one false alarm in so many frames."""


def false_alarms(real: Screws, baseline: Baseline, seed: int) -> Counter[str]:
    """Episodes that open on one undisturbed stream, by verdict."""
    rng, state, opened = np.random.default_rng(seed), DriftState.start(baseline), Counter[str]()
    for _ in range(STREAM):
        before, state = state, follow(state, drawn(rng, real.clean, real.defective, DEFECTS), baseline)
        if state.episode is not None and before.episode is None:
            opened[state.episode.verdict.value] += 1
    return opened


def poisson_interval(count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a Poisson mean of which `count` was seen (Garwood, 1936)."""
    tail = (1 - confidence) / 2
    return float(chi2.ppf(tail, 2 * count) / 2) if count else 0.0, float(chi2.ppf(1 - tail, 2 * count + 2) / 2)


def delay(
    real: Screws, baseline: Baseline, pool: Sequence[Observation], rate: float, *, seed: int, settling: int
) -> tuple[int, str]:
    """Frames from the change to the episode, and its verdict after a second look; PATIENCE where none opens."""
    rng = np.random.default_rng(1000 + seed)
    usual = (drawn(rng, real.clean, real.defective, DEFECTS) for _ in range(settling))
    state = followed(DriftState.start(baseline), usual, baseline)
    if state.episode is not None:
        return 0, "before the change"
    state = followed(state, (drawn(rng, pool, real.defective, rate) for _ in range(PATIENCE)), baseline)
    found = state.seen - settling
    for _ in range(12):
        state = follow(state, drawn(rng, pool, real.defective, rate), baseline)
    return found, state.episode.verdict.value if state.episode is not None else "not found"


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """Chance that a defective frame scores above a good one."""
    return float((good[:, None] < bad).mean() + (good[:, None] == bad).mean() / 2)


def fewest_frames(area: float, before: float, after: float) -> float:
    """ln(10,000) / KL: what a rising defect rate takes whoever knows both score distributions (Lorden, 1971).

    Scores of good and defective frames are normal, of one spread, as far apart as the AUROC says.
    """
    apart = np.sqrt(2) * norm.ppf(area)
    at = np.linspace(-8, 8 + apart, 20_001)
    good, bad = norm.pdf(at), norm.pdf(at - apart)
    was, became = (1 - before) * good + before * bad, (1 - after) * good + after * bad
    return float(np.log(FALSE_ALARM_FRAMES) / np.trapezoid(became * np.log(became / was), at))


def _told_alarms(real: Screws, baseline: Baseline, streams: int) -> str:
    opened = sum((false_alarms(real, baseline, seed) for seed in range(streams)), Counter[str]())
    low, high = (limit / streams for limit in poisson_interval(opened.total()))
    return (
        f"{opened.total()} false alarms in {streams} streams of {STREAM} decisions {dict(opened)}; "
        f"at 95 % {low:.3f} to {high:.3f} in 10,000 decisions"
    )


def _told_delay(
    real: Screws, baseline: Baseline, name: str, pool: Sequence[Observation], *, rate: float, settling: int
) -> str:
    found = [delay(real, baseline, pool, rate, seed=seed, settling=settling) for seed in range(REPEATS)]
    frames, words = [count for count, _ in found], Counter(word for _, word in found)
    return f"{name}: median {median(frames):g}, most {max(frames)} frames {dict(words)}"


def main() -> None:
    """Print a line of each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the split into window and held-out frames")
    parser.add_argument("--defects-only", action="store_true", help="of the delays, those of rising defects alone")
    asked = parser.parse_args()
    folder = Path(os.environ["PATCHLINE_TEST_DATA"]) / "mvtec_ad/screw"
    changes = [] if asked.defects_only else CHANGES
    real = screws(folder, np.random.default_rng(asked.seed), window=200, held_out=124, changes=changes)
    baseline = Baseline.of(real.reference)
    scores = [np.array([one.values[0] for one in pool]) for pool in (real.clean, real.defective)]
    area = auroc(*scores)
    for share in RISES:
        line = _told_delay(real, baseline, f"defects to {share:.0%}", real.clean, rate=share, settling=DEFECTS_SETTLING)
        bound = fewest_frames(area, DEFECTS, share)
        _say(f"{line}; image AUROC {area:.3f}, bound {bound:.0f}")
    others = {} if asked.defects_only else {**real.changed, "another session": real.other_session}
    for name, pool in others.items():
        _say(_told_delay(real, baseline, name, pool, rate=DEFECTS, settling=SETTLING))
    if asked.streams:
        _say(_told_alarms(real, baseline, asked.streams))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
