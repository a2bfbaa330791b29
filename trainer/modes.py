"""Modes of a window: kinds of whole frames (a part, an empty belt, a variant) that a build told apart.

A build finds groups of whole frames; its members are a mode, all other frames are of none. A frame that comes later
has the mode of most of the kept frames whose difference hashes are nearest to its own. A mode holds at most its share
of the window: frames of it beyond that are passed by, so that an hour of empty belt does not push the parts out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from softpatch.images.statistics import hash_distance
from trainer.window import Change

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from softpatch.manifest import GroupRecord
    from trainer.window import KeptFrame, WindowIndex

NEIGHBOURS = 5
"""Kept frames that say what mode a new one has."""


def mode_of(frames: Sequence[KeptFrame], difference_hash: str) -> str | None:
    """The mode of more than half of the nearest frames, by bits in which their hashes differ; None where no mode is."""
    bits = int(difference_hash, 16)
    nearest = sorted(frames, key=lambda frame: hash_distance(int(frame.difference_hash, 16), bits))[:NEIGHBOURS]
    modes = Counter(frame.mode for frame in nearest)
    mode, votes = modes.most_common(1)[0] if modes else (None, 0)
    return mode if 2 * votes > len(nearest) else None


def mode_full(index: WindowIndex, mode: str | None, *, cap_ratio: float) -> bool:
    """Whether one more frame of this mode would take more than its share; for frames of none there is always room."""
    held = sum(frame.mode == mode for frame in index.frames)
    return mode is not None and held + 1 > cap_ratio * (len(index.frames) + 1)


def with_modes(
    index: WindowIndex, groups: Sequence[GroupRecord], built: Collection[str], *, cap_ratio: float
) -> Change:
    """The index with the modes that a build of the frames `built` (ids) found; the oldest beyond a mode's share go."""
    found = {name: group.id for group in reversed(groups) if group.whole_frame for name in group.members}
    known = [frame.model_copy(update={"mode": found.get(frame.frame_id)}) for frame in index.frames]
    judges = [frame for frame in known if frame.frame_id in built]
    frames = tuple(
        frame if frame.frame_id in built else frame.model_copy(update={"mode": mode_of(judges, frame.difference_hash)})
        for frame in known
    )
    for mode in sorted({frame.mode for frame in frames if frame.mode is not None}):
        frames = _capped(frames, mode, cap_ratio)
    gone = tuple(frame for frame in known if frame.name not in {each.name for each in frames})
    return Change(index.model_copy(update={"frames": frames}), None, gone)


def _capped(frames: tuple[KeptFrame, ...], mode: str, cap_ratio: float) -> tuple[KeptFrame, ...]:
    """Without the oldest frames of a mode, as many as it has beyond its share; the newest say most about the line."""
    held = [frame.name for frame in frames if frame.mode == mode]
    others = len(frames) - len(held)
    surplus = sum(number > cap_ratio * (others + number) for number in range(1, len(held) + 1))
    gone = frozenset(held[:surplus])
    return tuple(frame for frame in frames if frame.name not in gone)
