"""Interleaved groups: which frames of a window are processed together."""


def interleaved_groups(frames: range, group_frames: int) -> list[range]:
    """The fewest groups of at most `group_frames`: of G groups, the i-th frame goes to group i mod G.

    LOF is blind to what repeats more than k times in a group; groups of fixed size keep that blind spot, and memory,
    from growing with the day. Neighbours in time are in different groups: a burst of one defect is thinned out by G.
    """
    count = -(-len(frames) // group_frames)
    return [frames[start::count] for start in range(count)]
