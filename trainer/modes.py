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

    from softpatch.bank import GroupRecord
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


def mode_full(index: WindowIndex, mode: str | None, *, cap_frames: int) -> bool:
    """Whether the window has no room for one more frame of this mode; for frames of none it always has."""
    return mode is not None and sum(frame.mode == mode for frame in index.frames) >= cap_frames


def with_modes(index: WindowIndex, groups: Sequence[GroupRecord], built: Collection[str], *, cap_frames: int) -> Change:
    """The index with the modes that a build of the frames `built` (ids) found; the oldest beyond a mode's share go."""
    found = {name: group.id for group in reversed(groups) if group.whole_frame for name in group.members}
    known = [frame.model_copy(update={"mode": found.get(frame.frame_id)}) for frame in index.frames]
    judges = [frame for frame in known if frame.frame_id in built]
    frames = tuple(
        frame if frame.frame_id in built else frame.model_copy(update={"mode": mode_of(judges, frame.difference_hash)})
        for frame in known
    )
    kept = _capped(frames, cap_frames)
    gone = tuple(frame for frame in frames if frame not in kept)
    return Change(index.model_copy(update={"frames": kept}), None, gone)


def _capped(frames: tuple[KeptFrame, ...], cap_frames: int) -> tuple[KeptFrame, ...]:
    held = Counter[str]()
    kept: list[KeptFrame] = []
    for frame in reversed(frames):  # the newest say most about the line as it is
        if frame.mode is not None:
            held[frame.mode] += 1
        if frame.mode is None or held[frame.mode] <= cap_frames:
            kept.append(frame)
    return tuple(reversed(kept))
