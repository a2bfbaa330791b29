"""Which frames are looked at together: interleaved groups, and contiguous blocks of time."""

from itertools import pairwise


def interleaved_groups(frames: range, group_frames: int) -> list[range]:
    """The fewest groups of at most `group_frames`: of G groups, the i-th frame goes to group i mod G.

    LOF is blind to what repeats more than k times in a group; groups of fixed size keep that blind spot, and memory,
    from growing with the day. Neighbours in time part company: a burst of one defect is thinned out by G.
    """
    count = -(-len(frames) // group_frames)
    return [frames[start::count] for start in range(count)]


def contiguous_blocks(frames: int, blocks: int) -> list[range]:
    """Blocks of time, in order, as equal as they can be.

    Frames of one moment are near copies; a random split would leave a copy of every frame on the other side.
    """
    edges = [frames * block // blocks for block in range(blocks + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


LEAST_BLOCK_FRAMES = 20
FEWEST_BLOCKS = 3


def calibration_blocks(frames: int, most: int) -> list[range]:
    """The blocks of time a calibration leaves out in turn: three of a short window, up to `most` of a longer one.

    The more blocks, the nearer what is left comes to the whole window: where parts lie about freely, two thirds of 240
    frames would meet the rare poses with scores 6 % too high, and where the light moves, a block of 80 frames takes a
    light with it. Blocks as short as a burst of near copies would leave copies on the other side.
    """
    return contiguous_blocks(frames, min(most, max(FEWEST_BLOCKS, frames // LEAST_BLOCK_FRAMES)))
