"""Large inputs in overlapping tiles, so that a run of the network takes bounded memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_PX = 1280 * 1280
"""An input up to this size goes through the network whole."""

TILE_PX = 1024
"""Side of a tile's own part, about."""

MARGIN_PX = 256
"""What a tile sees of its neighbours, about. On a real frame of 2048 x 1536 px Lite0's wide embeddings then differ from
those of the whole by some 5 % of their spread in one of a hundred, at 96 px by 90 %; tiles lie alike in every frame."""


@dataclass(frozen=True)
class TileSpan:
    """Along one axis, in pixels: a tile sees `start` to `stop`, and its own part is `own_start` to `own_stop`."""

    start: int
    stop: int
    own_start: int
    own_stop: int

    def seen(self) -> slice:
        """Of the frame: what the tile sees."""
        return slice(self.start, self.stop)

    def own(self, stride_px: int) -> slice:
        """Of the tile's embeddings: those that are its own."""
        return slice((self.own_start - self.start) // stride_px, (self.own_stop - self.start) // stride_px)

    def target(self, stride_px: int) -> slice:
        """Of the frame's embeddings: where they go."""
        return slice(self.own_start // stride_px, self.own_stop // stride_px)


@dataclass(frozen=True)
class Tile:
    """One tile of a frame."""

    rows: TileSpan
    columns: TileSpan


def tiles_of(height_px: int, width_px: int, *, multiple_px: int) -> Sequence[Tile]:
    """The tiles of a frame of that size; one of all of it up to `MOST_PX`. All sides are multiples of `multiple_px`."""
    if height_px * width_px <= MOST_PX:
        return [Tile(TileSpan(0, height_px, 0, height_px), TileSpan(0, width_px, 0, width_px))]
    rows, columns = (_spans(side, multiple_px) for side in (height_px, width_px))
    return [Tile(row, column) for row in rows for column in columns]


def _spans(side_px: int, multiple_px: int) -> list[TileSpan]:
    parts, units = math.ceil(side_px / TILE_PX), side_px // multiple_px
    margin = math.ceil(MARGIN_PX / multiple_px) * multiple_px
    edges = [round(part * units / parts) * multiple_px for part in range(parts + 1)]
    return [
        TileSpan(max(0, start - margin), min(side_px, stop + margin), start, stop) for start, stop in pairwise(edges)
    ]
