"""What becomes of a defect that repeats: found, good parts rejected, questions asked; one JSON line a cell.

`python -m tests.bench.what_repeats DATA CACHE ROWS INPUT [CELL...]`: the folder of real images, a folder for
embeddings, made once, the file of rows, and `auto` or `fast`; rows that the file holds are passed over, so that a run
that was cut off goes on. CELL, such as `tile:pit:60:0.1`, is one window in place of all; `tile:pit:60:0.1@3` is another
draw of its frames and carriers. One core.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from softpatch.building.fit import nothing_upright
from tests.bench.repeating_marks import MARK_NAMES, PIT, PLACES, SCRATCH, STAIN, Built, EmbeddedPictures, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from softpatch.building.fit import UprightReading

SCREW_DEFECT = "scratch_head"
"""The real defects that repeat on turned screws: half of them in the window, the other half looked for."""

GOOD_FRAMES = 80
SHORTEST_LINE = 200
"""Frames of the tile line."""


@dataclass(frozen=True)
class Cell:
    """One window: a line, its length, and what share of it carries which mark. It gives a row for either policy.

    `input`: `auto` or `fast`, as in the settings of a build. `draw`: which frames and carriers are drawn.
    """

    input: str
    line: str
    mark: int
    frames: int
    share: float
    draw: int = 0

    def drawn(self, of: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames of the window, of so many, in order of time; and the carriers among them."""
        count = min(self.frames, of)
        rng = np.random.default_rng([self.draw, count])
        chosen = np.sort(rng.choice(of, count, replace=False))
        return chosen, np.sort(rng.choice(count, round(self.share * count), replace=False))


def window(pictures: EmbeddedPictures, cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings in order of time, which of them carry the mark, and defective frames that are not in it."""
    good = pictures.good(cell.line, "train")
    which, carriers = cell.drawn(len(good))
    embeddings = np.array(good[which])
    if cell.line in PLACES:
        embeddings[carriers] = pictures.good(cell.line, "train", cell.mark)[which[carriers]]
        return embeddings, carriers, pictures.good(cell.line, "test", cell.mark)
    real = pictures.defective(cell.line, SCREW_DEFECT)
    half = len(real) // 2
    embeddings[carriers] = real[np.arange(len(carriers)) % half]
    return embeddings, carriers, real[half:]


def _upright(pictures: EmbeddedPictures, cell: Cell) -> UprightReading:
    """The same window with all parts turned alike; marks are painted on lines whose parts lie alike as they come."""
    if cell.line in PLACES:
        return nothing_upright
    files = pictures.good_files(cell.line)
    which, carriers = cell.drawn(len(files))
    chosen = [files[row] for row in which]
    real = pictures.defective_files(cell.line, SCREW_DEFECT)
    for number, row in enumerate(carriers):
        chosen[row] = real[number % (len(real) // 2)]
    return partial(pictures.upright, cell.line, chosen)


def measured(pictures: EmbeddedPictures, cell: Cell) -> list[dict[str, object]]:
    """The numbers where groups are asked about and where they are learnt: one bank where there are none."""
    embeddings, _, _ = window(pictures, cell)
    upright = _upright(pictures, cell)
    asks = build(embeddings, "ask", upright=upright)
    learns = build(embeddings, "learn", upright=upright) if asks.groups else asks
    lines = _lines(pictures, cell, asks)
    others = lines if learns is asks else _lines(pictures, cell, learns)
    return [{**line, "policy": "ask"} for line in lines] + [{**line, "policy": "learn"} for line in others]


def _lines(pictures: EmbeddedPictures, cell: Cell, built: Built) -> list[dict[str, object]]:
    """A bank of a window without a mark serves all marks of a size."""
    embeddings, carriers, _ = window(pictures, cell)
    named = {frame for group in built.groups for frame in group.rows}
    numbers = {
        "window": len(embeddings),
        "carriers": len(carriers),
        "good_rejected": built.failing(pictures.good(cell.line, "test")[:GOOD_FRAMES]),
        "questions": len(built.new_groups),
        "carriers_named": len(named & set(carriers.tolist())),
        "others_named": len(named - set(carriers.tolist())),
        "threshold": round(built.threshold, 3),
        "cpu_seconds": built.cpu_seconds,
    }
    sizes = range(STAIN + 1) if cell.mark <= STAIN else range(STAIN + 1, len(MARK_NAMES))
    every = sizes if not cell.share and cell.line in PLACES else (cell.mark,)
    served = (replace(cell, mark=mark) for mark in every)
    return [{**asdict(each), "found": built.failing(window(pictures, each)[2]), **numbers} for each in served]


def cells(size: str) -> Iterator[Cell]:
    """All of them, the most telling first. A line shorter than a window gives one window of all it has."""
    for frames, mark, shares in (
        (200, PIT, (0.1, 0.0)),
        (60, PIT, (0.1, 0.0)),
        (400, PIT, (0.1, 0.0)),
        (60, STAIN, (0.1,)),
        (200, PIT, (0.3, 0.04)),
        (60, PIT, (0.3, 0.04)),
        (200, STAIN, (0.1, 0.3)),
        (400, PIT, (0.02, 0.3)),
    ):
        yield from (cell for cell in _cells(size, frames, mark, shares) if cell.line in PLACES)
    for frames, mark in product((60, 200, 400), (PIT, SCRATCH, STAIN)):
        yield from _cells(size, frames, mark, (0.0, 0.02, 0.04, 0.1, 0.2, 0.3))
    for frames, mark in product((200, 60), range(STAIN + 1, len(MARK_NAMES))):
        yield from _cells(size, frames, mark, (0.0, 0.04, 0.1, 0.3))


def _cells(size: str, frames: int, mark: int, shares: tuple[float, ...]) -> Iterator[Cell]:
    """Two carriers are the fewest; only two lines have more than 200 frames that are aligned."""
    lines = [*PLACES, *(["screw"] if mark == PIT else [])]
    if frames > SHORTEST_LINE:
        lines = ["impeller", "ball_screw"]
    for share, line in product(shares, lines):
        if round(share * frames) != 1:
            yield Cell(size, line, mark, frames, share)


def cell_of(size: str, text: str) -> Cell:
    """The window that `tile:pit:60:0.1` names, or `tile:pit:60:0.1@3`."""
    window, _, draw = text.partition("@")
    line, mark, frames, share = window.split(":")
    return Cell(size, line, MARK_NAMES.index(mark), int(frames), float(share), int(draw or 0))


def known_rows(file: Path) -> list[dict[str, object]]:
    """The rows of a file, none where there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def key_of(row: Mapping[str, object]) -> tuple[object, ...]:
    """What tells a cell from all others; a row without a draw is of the first."""
    return tuple(row.get(field.name, 0) if field.name == "draw" else row[field.name] for field in fields(Cell))


def main() -> None:
    """Every row that the file lacks."""
    data, cache, file = (Path(each) for each in sys.argv[1:4])
    size, named = sys.argv[4], sys.argv[5:]
    pictures = EmbeddedPictures(data, cache, fast=size == "fast")
    done = {key_of(row) for row in known_rows(file)}
    for cell in [cell_of(size, text) for text in named] or cells(size):
        if key_of(asdict(cell)) not in done:
            rows = measured(pictures, cell)
            done |= {key_of(row) for row in rows}
            with file.open("a") as out:
                print(*map(json.dumps, rows), sep="\n", file=out, flush=True)


if __name__ == "__main__":
    main()
