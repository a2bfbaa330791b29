"""Boxes of labels: from shares of the frame to positions of the grid, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softpatch.building.labels import LabelledFrames, exemplar_frames, exemplar_names
from softpatch.images.geometry import WHOLE_FRAME, Geometry, box_cells, cells_box

SQUASH = Geometry(mode="squash", height_px=64, width_px=64)
LETTERBOX = Geometry(mode="letterbox", height_px=64, width_px=64)
WIDE = (128, 32)
"""Of a letterbox of 64 x 64 this takes rows 24 to 40: of a grid of 8 x 8 the rows 3 and 4."""


def test_a_box_is_the_positions_it_touches() -> None:
    """A quarter of a frame that is squashed, and the whole of one that is letterboxed."""
    quarter = box_cells((0.5, 0.25, 0.75, 0.5), geometry=SQUASH, grid=(8, 8), frame_wh=WIDE)
    assert np.argwhere(quarter).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
    whole = box_cells(WHOLE_FRAME, geometry=LETTERBOX, grid=(8, 8), frame_wh=WIDE)
    assert np.flatnonzero(whole.any(axis=1)).tolist() == [3, 4]


@given(st.integers(0, 7), st.integers(0, 7), st.integers(1, 8), st.integers(1, 8), st.sampled_from([SQUASH, LETTERBOX]))
def test_a_box_of_positions_touches_them_again(
    row: int, column: int, rows: int, columns: int, geometry: Geometry
) -> None:
    """And always has an area, as the contract of annotations wants it."""
    cells = np.zeros((8, 8), np.bool_)
    cells[row : row + rows, column : column + columns] = True
    x0, y0, x1, y1 = cells_box(cells, geometry=geometry, frame_wh=WIDE)
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    on_the_frame = box_cells(WHOLE_FRAME, geometry=geometry, grid=(8, 8), frame_wh=WIDE)
    touched = box_cells((x0, y0, x1, y1), geometry=geometry, grid=(8, 8), frame_wh=WIDE)
    assert (touched >= (cells & on_the_frame)).all()


def test_a_place_on_the_bars_is_the_whole_frame() -> None:
    """There is nothing of the frame there to show."""
    cells = np.zeros((8, 8), np.bool_)
    cells[0, 2] = True
    assert cells_box(cells, geometry=LETTERBOX, frame_wh=WIDE) == WHOLE_FRAME


@pytest.mark.parametrize("labels", [2, 100])
def test_labels_take_turns(labels: int) -> None:
    """The first frame of each before the second of any, and 64 in all; names follow."""
    given_labels = [LabelledFrames(str(n), "open", "group", None, (b"%d a" % n, b"%d b" % n)) for n in range(labels)]
    read = exemplar_frames(given_labels)
    assert [number for number, _ in read] == [*range(labels), *range(labels)][:64]
    assert exemplar_names(given_labels)[:2] == ["0/0", "1/0"]
    assert len(exemplar_names(given_labels)) == len(read)
