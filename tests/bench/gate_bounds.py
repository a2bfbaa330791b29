"""What the gate measures on real lines while nothing happens, and while a mark comes: where its bounds come from.

`python -m tests.bench.gate_bounds DATA ROWS`: one JSON line a build; known cases are passed over. Windows of 120 real
good frames roll on by 40; in the marked ones a tenth of the last 60 frames carries a painted mark.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from softpatch.bank import bank_to_bytes, bank_version
from softpatch.building.build import build_and_examine
from softpatch.building.examine import PriorBanks
from softpatch.gate.prior_scores import PriorBank
from softpatch.images.decode import decode
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.settings import BuildSettings
from tests.bench.repeating_marks import FOLDERS, PIT, PLACES, painted
from tests.bench.what_repeats import known_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMES, STEP, BUILDS, NEW = 120, 40, 4, 60
MARKED_RATIO = 0.1
SETTINGS = BuildSettings.model_validate({"geometry": "fast"})


def windows(files: list[Path], line: str, *, marked: bool) -> Iterator[list[bytes]]:
    """The rolling windows; from the second on, marks come with new frames where they are to."""
    rng = np.random.default_rng(0)
    frames = [each.read_bytes() for each in files]
    if marked:
        for number in range(FRAMES, min(len(frames), FRAMES + BUILDS * STEP)):
            if rng.random() < 2 * MARKED_RATIO:
                image = painted(decode(frames[number]), PIT, PLACES[line][PIT], np.random.default_rng([5, number]))
                frames[number] = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    for number in range(BUILDS):
        start = number * STEP
        if start + FRAMES <= len(frames):
            yield frames[start : start + FRAMES]


def main() -> None:
    """Every case that the file lacks."""
    data, rows = Path(sys.argv[1]), Path(sys.argv[2])
    done = {row["case"] for row in known_rows(rows)}
    embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=1)
    for line in FOLDERS:
        files = sorted((data / FOLDERS[line] / "train" / "good").iterdir())
        for marked in (False, True):
            if marked and line not in PLACES:
                continue
            active = reference = None
            for number, window in enumerate(windows(files, line, marked=marked)):
                case = f"{line} {'marked' if marked else 'clean'} {number}"
                if f"{line} {'marked' if marked else 'clean'} {BUILDS - 1}" in done:
                    break
                built = build_and_examine(
                    window,
                    embedder,
                    SETTINGS,
                    view="bench/gate",
                    frame_names=[f"{number * STEP + i}" for i in range(len(window))],
                    created_at="2026-01-01",
                    threads=1,
                    before=PriorBanks(active, reference, 2),
                )
                active = PriorBank(
                    built.bank, bank_version(bank_to_bytes(built.bank)), built.bank.manifest.threshold.value
                )
                reference = reference or active
                groups = [[each.frames, each.is_new, each.members] for each in built.bank.manifest.groups]
                with rows.open("a") as out:
                    print(
                        json.dumps({"case": case, **built.measures.model_dump(), "groups": groups}),
                        file=out,
                        flush=True,
                    )


if __name__ == "__main__":
    main()
