"""What changed in a window since its index was written whole: one line of JSON for each time, appended to a file.

An index of 400 frames is 73 kB, and a running line changes it every two seconds, mostly by a count and an offset. So
what changed is appended, and the index is written whole only when the lines have become as long as it is.

The journal is named by the bytes of the index that it goes on from: one that a crash left behind belongs to no index.
"""

from __future__ import annotations

import json
from typing import Any

from ingest.store_layout import frame_file_name
from trainer.window import WindowIndex

__all__ = ["journal_line", "replayed"]


def journal_line(before: WindowIndex, after: WindowIndex) -> bytes | None:
    """The change from one index to another; None where only a whole index says it: frames in another order."""
    names_after = {frame.name for frame in after.frames}
    stayed = [frame for frame in before.frames if frame.name in names_after]
    if [frame.name for frame in stayed] != [frame.name for frame in after.frames[: len(stayed)]]:
        return None
    known = {frame.name: frame for frame in before.frames}
    fields = after.model_dump(mode="json", exclude={"frames"})
    old = before.model_dump(mode="json", exclude={"frames"})
    change: dict[str, Any] = {name: value for name, value in fields.items() if value != old[name]}
    put = [frame.model_dump(mode="json", exclude_none=True) for frame in after.frames if known.get(frame.name) != frame]
    gone = [name for name in known if name not in names_after]
    change |= {"put": put} if put else {}
    change |= {"gone": gone} if gone else {}
    return json.dumps(change, separators=(",", ":")).encode() + b"\n"


def replayed(whole: bytes, journal: bytes) -> tuple[WindowIndex, int]:
    """The index after the lines of its journal, and how many bytes from the first damaged line on were left out.

    A crash leaves the last line unfinished: nothing that it says was relied on. Raises NewerIndex, InvalidIndex.
    """
    index = WindowIndex.from_bytes(whole)
    lines, left_out = _whole_lines(journal)
    if not lines:
        return index, left_out
    fields = index.model_dump(mode="json", exclude={"frames"})
    frames = {frame.name: frame.model_dump(mode="json") for frame in index.frames}
    for line in lines:
        for name in line.pop("gone", ()):
            frames.pop(name, None)
        for frame in line.pop("put", ()):
            frames[frame_file_name(frame["partition"], frame["offset"], frame.get("topic"))] = frame
        fields |= line
    return WindowIndex.from_bytes(json.dumps(fields | {"frames": list(frames.values())}).encode()), left_out


def _whole_lines(journal: bytes) -> tuple[list[dict[str, Any]], int]:
    lines: list[dict[str, Any]] = []
    read = 0
    while (end := journal.find(b"\n", read)) >= 0:
        try:
            line = json.loads(journal[read:end])
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        lines.append(line)
        read = end + 1
    return lines, len(journal) - read
