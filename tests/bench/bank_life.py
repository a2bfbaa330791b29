"""How a bank lives: rebuilds while a mark spreads, a good variant, windows without a group, feedback, cost of asking.

`python -m tests.bench.bank_life DATA CACHE ROWS INPUT [BEGINNING...]`: as `what_repeats`, one JSON line a case; known
cases are passed over. With beginnings of names, those cases alone.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.cameras.simulator import Simulator
from softpatch.building.denoise import denoise
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.label_window import KnownLabels, label_window
from softpatch.building.projection import projected_groups
from softpatch.settings import BuildSettings
from tests.bench.repeating_marks import PIT, PLACES, EmbeddedPictures, Label, build, label_of
from tests.bench.what_repeats import GOOD_FRAMES, Cell, known_rows, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from softpatch.settings import GroupPolicy

Numbers = dict[str, object]

SPREADING = (0.02, 0.04, 0.10, 0.20)
"""Shares of the window that carry the mark, build after build."""

VARIANT_SHARES = (0.05, 0.10, 0.25)
FEEDBACK = (("tile", "crack"), ("ball_screw", "pitting"), ("screw", "scratch_head"))
CONTAMINATED = 0.1
MOSTLY = 0.5
"""Of a group's frames, the share with the mark from which on it is about the mark."""

CLEAN_WINDOWS, CLEAN_FRAMES, SIMULATED_FRAMES = 10, 100, 300
CLEAN_LINES = ("impeller", "tile", "screw", "simulated ring", "ball_screw")


def rebuilds(pictures: EmbeddedPictures, line: str, frames: int, policy: GroupPolicy) -> Numbers:
    """Four builds of a window that rolls on, labels carried along; nobody answers."""
    plain, marked = pictures.good(line, "train"), pictures.good(line, "train", PIT)
    new, good = pictures.good(line, "test", PIT), pictures.good(line, "test")[:80]
    labels: list[Label] = []
    found, rejected, questions, named = [], [], 0, []
    for start, carriers in _spreading(len(plain), frames):
        window = np.array(plain[start : start + frames])
        window[carriers - start] = marked[carriers]
        built = build(window, policy, labels)
        found.append(built.failing(new))
        rejected.append(built.failing(good))
        questions += len(built.new_groups)
        rows = {row for group in built.groups for row in group.rows if row < frames}
        named.append(f"{len(rows & set((carriers - start).tolist()))} of {len(carriers)}")
        labels += [label_of(group, window, "open", len(labels) + i) for i, group in enumerate(built.new_groups)]
    return {"found": found, "good_rejected": rejected, "questions": questions, "carriers_named": named}


def _spreading(pictures: int, frames: int) -> Iterator[tuple[int, np.ndarray]]:
    """First frame of each window and the frames with the mark; one that has it has it in every window."""
    rng = np.random.default_rng(0)
    carriers, end = np.zeros(0, np.int64), 0
    for number, share in enumerate(SPREADING):
        start = (pictures - frames) * number // (len(SPREADING) - 1)
        carriers = carriers[carriers >= start]
        fresh = np.arange(max(end, start), start + frames)
        more = min(len(fresh), round(share * frames) - len(carriers))
        carriers = np.sort(np.concatenate([carriers, rng.choice(fresh, more, replace=False)]))
        end = start + frames
        yield start, carriers


def variant(pictures: EmbeddedPictures, share: float) -> Numbers:
    """A good variant in a window of 200: what passes and what fails before and after the word `good`."""
    shown, plain = pictures.patterned("impeller", "train", "good"), pictures.good("impeller", "train")[200:400]
    rng = np.random.default_rng(1)
    carriers = np.sort(rng.choice(200, round(share * 200), replace=False))
    window = np.array(plain)
    window[carriers] = shown[: len(carriers)]
    before = build(window, "ask")
    of_variant = [group for group in before.groups if set(group.rows) & set(carriers.tolist())]
    after = build(window, "ask", [label_of(group, window, "good", i) for i, group in enumerate(of_variant)])
    frames = {
        "variant_rejected": pictures.patterned("impeller", "test", "good"),
        "variant_defects_found": pictures.patterned("impeller", "test", "defective"),
        "good_rejected": pictures.good("impeller", "test")[:60],
        "defects_found": pictures.defective("impeller")[:60],
    }
    return {
        "questions": len(before.new_groups),
        "carriers_named": len({row for group in of_variant for row in group.rows} & set(carriers.tolist())),
        "carriers": len(carriers),
        **{name: [before.failing(embeddings), after.failing(embeddings)] for name, embeddings in frames.items()},
    }


def answered(pictures: EmbeddedPictures, size: str, line: str, frames: int, share: float) -> Numbers:
    """A window with a pit, or without: *good* is said once of each group that is not about it; before and after.

    `learns`: the same window with its groups learnt.
    """
    embeddings, carriers, new = window(pictures, Cell(size, line, PIT, frames, share))
    good = pictures.good(line, "test")[:GOOD_FRAMES]
    before, learns = build(embeddings, "ask"), build(embeddings, "learn")
    others = [group for group in before.groups if np.isin(group.rows, carriers).mean() < MOSTLY]
    after = build(embeddings, "ask", [label_of(group, embeddings, "good", i) for i, group in enumerate(others)])
    named = {row for group in before.groups for row in group.rows}
    return {
        "questions": len(before.new_groups),
        "answered": len(others),
        "questions_after": len(after.new_groups),
        "carriers_named": f"{len(named & set(carriers.tolist()))} of {len(carriers)}",
        "found": [before.failing(new), after.failing(new)],
        "good_rejected": [before.failing(good), after.failing(good)],
        "learns": [learns.failing(new), learns.failing(good)],
    }


def clean_windows(pictures: EmbeddedPictures, line: str) -> Numbers:
    """Questions over windows of good frames drawn anew, in order of time; nothing is subsampled or calibrated."""
    good = _simulated(pictures) if line == "simulated ring" else pictures.good(line, "train")
    questions = []
    for number in range(CLEAN_WINDOWS):
        which = np.sort(np.random.default_rng([2, number]).choice(len(good), CLEAN_FRAMES, replace=False))
        buffer, settings = MemoryBuffer(CLEAN_FRAMES, good.shape[1:]), BuildSettings()
        buffer.append(good[which])
        projected = projected_groups(buffer, settings)
        denoised = denoise(projected, settings, lambda *_: None)
        questions.append(len(label_window(projected, denoised, settings, KnownLabels(CLEAN_FRAMES)).groups))
    return {"questions": questions, "aligned": denoised.aligned}


def _simulated(pictures: EmbeddedPictures) -> np.ndarray:
    camera = Simulator("ring", seed=0, clock=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC), defect_ratio=0.0)
    return pictures.drawn("simulated_ring", lambda: [camera.frame(i).encoded for i in range(SIMULATED_FRAMES)])


def feedback(pictures: EmbeddedPictures, line: str, kind: str) -> Numbers:
    """A window with one frame in ten of a type; of the others of the type the first that passed is called defective."""
    good, real = pictures.good(line, "train"), pictures.defective(line, kind)
    count = min(200, len(good))
    rng = np.random.default_rng(3)
    window = np.array(good[np.sort(rng.choice(len(good), count, replace=False))])
    order = rng.permutation(len(real))
    inside, outside = order[: len(order) // 2], order[len(order) // 2 :]
    carriers = np.sort(rng.choice(count, round(CONTAMINATED * count), replace=False))[: len(inside)]
    window[carriers] = real[inside[: len(carriers)]]
    before = build(window, "ask")
    passing = before.scores(real[outside]) <= before.threshold
    escaped = int(np.argmax(passing))
    others = real[np.delete(outside, escaped)]
    word = Label("w", "defect", "feedback", np.ones(window.shape[1:3], np.bool_), real[outside[[escaped]]])
    after = build(window, "ask", [word])
    new_good = pictures.good(line, "test")[:80]
    return {
        "carriers": len(carriers),
        "questions": len(before.new_groups),
        "escaped_ratio": [
            round(float(built.scores(word.embeddings)[0] / built.threshold), 3) for built in (before, after)
        ],
        "found": [before.failing(others), after.failing(others)],
        "good_rejected": [before.failing(new_good), after.failing(new_good)],
        "passed_before": int(passing.sum()),
        "others": len(others),
    }


def build_cpu(pictures: EmbeddedPictures, line: str) -> Numbers:
    """CPU seconds of all frames, asking and learning in turns, a tenth with a mark; embedding is counted apart."""
    window = np.array(pictures.good(line, "train"))
    if line in PLACES:
        carriers = np.sort(np.random.default_rng(0).choice(len(window), len(window) // 10, replace=False))
        window[carriers] = pictures.good(line, "train", PIT)[carriers]
    seconds: dict[GroupPolicy, list[float]] = {"ask": [], "learn": []}
    for policy in ("learn", "ask", "learn", "ask"):
        seconds[policy].append(build(window, policy).cpu_seconds)
    return {**seconds, "frames": len(window), "embedding": round(len(window) * pictures.embedding_seconds(line), 1)}


def cases(pictures: EmbeddedPictures, size: str) -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """All of them by name, the most telling first."""
    for line, frames in (("impeller", 200), ("tile", 100)):
        for policy in ("ask", "learn"):
            yield f"rebuilds {line} {frames} {policy}", lambda a=(line, frames, policy): rebuilds(pictures, *a)
    yield "variant 0.10", lambda: variant(pictures, 0.10)
    for line, kind in FEEDBACK:
        yield f"feedback {line} {kind}", lambda a=(line, kind): feedback(pictures, *a)
    for line in CLEAN_LINES:
        yield f"clean {line}", lambda a=line: clean_windows(pictures, a)
    for frames, share in product((60, 200), (0.0, CONTAMINATED)):
        arguments = (size, "ball_screw", frames, share)
        yield f"answered ball_screw {frames} {share:.2f}", lambda a=arguments: answered(pictures, *a)
    for line in ("impeller", "screw"):
        yield f"build cpu {line}", lambda a=line: build_cpu(pictures, a)
    for share in (0.05, 0.25):
        yield f"variant {share:.2f}", lambda a=share: variant(pictures, a)
    for policy in ("ask", "learn"):
        yield f"rebuilds ball_screw 125 {policy}", lambda a=policy: rebuilds(pictures, "ball_screw", 125, a)


def main() -> None:
    """Every case that was asked for and the file lacks."""
    data, cache, file = (Path(each) for each in sys.argv[1:4])
    size = sys.argv[4]
    pictures = EmbeddedPictures(data, cache, fast=size == "fast")
    beginnings = tuple(sys.argv[5:]) or ("",)
    done = {row["case"] for row in known_rows(file) if row["input"] == size}
    for name, measure in cases(pictures, size):
        if name.startswith(beginnings) and name not in done:
            with file.open("a") as out:
                print(json.dumps({"case": name, "input": size, **measure()}), file=out, flush=True)


if __name__ == "__main__":
    main()
