"""Contiguous blocks of time: which frames of a window are left out together in cross-fitting."""

from itertools import pairwise

from softpatch.settings import FEWEST_BLOCKS

LEAST_BLOCK_FRAMES = 20


def calibration_blocks(frames: int, most: int) -> list[range]:
    """The blocks of time a calibration leaves out in turn: three of a short window, up to `most` of a longer one.

    The more blocks, the nearer what is left comes to the whole window: where parts lie about freely, two thirds of 240
    frames would meet the rare poses with scores 6 % too high, and where the light moves, a block of 80 frames takes a
    light with it. Blocks as short as a burst of near copies would leave copies on the other side.
    """
    return contiguous_blocks(frames, min(most, max(FEWEST_BLOCKS, frames // LEAST_BLOCK_FRAMES)))


def contiguous_blocks(frames: int, blocks: int) -> list[range]:
    """Blocks of time, in order, as equal as they can be.

    Frames of one moment are near copies; a random split would leave a copy of every frame on the other side.
    """
    edges = [frames * block // blocks for block in range(blocks + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]
