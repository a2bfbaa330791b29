"""Windows on the store: a folder for each view with its frames and its index, and how far each partition was read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from ingest.store import NotInStore, StoreError
from ingest.store_layout import (
    INDEX,
    WINDOWS,
    position_path,
    views_among,
    window_folder,
    window_index_path,
    window_journal_path,
)
from trainer.window import InvalidIndex, NewerIndex, WindowIndex, without
from trainer.window_journal import journal_line, replayed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.kafka.records import Partition
    from ingest.store import Store
    from trainer.window import KeptFrame

log = structlog.get_logger(__name__)

WRITERS = 8
SMALL_JOURNAL_BYTES = 16 * 1024
"""However small the index: a young window is not written whole every few frames."""


@dataclass(frozen=True)
class NewFrame:
    """A frame that is to be kept, with its bytes."""

    view: str
    kept: KeptFrame
    encoded: bytes


@dataclass(frozen=True)
class _Written:
    """What this process last wrote of a window."""

    index: WindowIndex
    whole_bytes: int
    journal_bytes: int = 0

    def has_room(self, line: bytes) -> bool:
        """Whether the journal is shorter than the index would be, with this line."""
        return self.journal_bytes + len(line) <= max(self.whole_bytes, SMALL_JOURNAL_BYTES)


class WindowStore:
    """Reads and writes windows. Methods raise StoreError where the store does not do its part."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._saved: dict[str, _Written] = {}
        self._journals: dict[str, str] = {}
        # A disk makes each file wait for itself (10 ms were measured); side by side it is a tenth of that.
        self._writers = ThreadPoolExecutor(WRITERS, "window")

    def views(self) -> list[str]:
        """The views that have a folder, of whatever topic; none of them is read."""
        return list(views_among(self._store.folders(WINDOWS)))

    def load(self, view: str) -> WindowIndex | None:
        """The window of a view; None where it has none, or a damaged one. Raises NewerIndex."""
        self._saved.pop(view, None)  # another trainer may have written since
        try:
            whole = self._store.get(window_index_path(view))
            journal = self._journals[view] = window_journal_path(view, whole)
            index, left_out = replayed(whole, self._got_or_empty(journal))
            if left_out:
                log.warning("window_journal_cut", view=view, bytes=left_out)
        except NotInStore:
            return None
        except NewerIndex:
            raise
        except InvalidIndex as error:
            log.error("window_damaged", view=view, detail=str(error))  # noqa: TRY400 -- the sentence says it all
            return None
        else:
            return index

    def let_go(self, view: str) -> None:
        """Remember nothing of a view that has ended."""
        self._saved.pop(view, None)
        self._journals.pop(view, None)

    def unnamed_files(self, index: WindowIndex) -> frozenset[str]:
        """Names of files in the window's folder that the index does not name: what a crash left behind."""
        journal = self._journals.get(index.view, "").rsplit("/", 1)[-1]
        return self._files(index.view) - {frame.name for frame in index.frames} - {INDEX, journal}

    def complete(self, index: WindowIndex) -> WindowIndex:
        """The index with only frames whose files are there: one that somebody deleted would fail a build."""
        lost = frozenset(frame.name for frame in index.frames) - self._files(index.view)
        if not lost:
            return index
        log.warning("window_frames_lost", view=index.view, frames=len(lost))
        # Whoever took the frames may have taken the index that a journal goes on from.
        self._saved.pop(index.view, None)
        return without(index, lost)

    def keep(self, frames: Sequence[NewFrame]) -> list[tuple[NewFrame, StoreError]]:
        """Write the files of frames side by side; the indexes that name them come after. Returns what found no room."""
        ends = zip(frames, self._writers.map(self._written, frames), strict=True)
        return [(frame, error) for frame, error in ends if error is not None]

    def save(self, index: WindowIndex) -> None:
        """Write an index, or what changed in it: from now on it is the truth."""
        written = self._saved.pop(index.view, None)  # where writing fails, the next time it is written whole
        line = None if written is None else journal_line(written.index, index)
        if written is None or line is None or not written.has_room(line):
            self._saved[index.view] = self._saved_whole(index)
        else:
            self._store.append(self._journals[index.view], line)
            self._saved[index.view] = replace(written, index=index, journal_bytes=written.journal_bytes + len(line))

    def delete(self, view: str, names: Iterable[str]) -> None:
        """Remove files that the saved index does not name."""
        for name in names:
            self._remove(f"{window_folder(view)}/{name}")

    def position(self, partition: Partition) -> int:
        """The first offset of a partition that is not in the windows; 0 where nothing was read yet."""
        try:
            return int(self._store.get(position_path(*partition)))
        except NotInStore:
            return 0

    def save_position(self, partition: Partition, offset: int) -> None:
        """Say how far a partition was read, after the indexes of all its views are saved."""
        self._store.put(position_path(*partition), str(offset).encode())

    def _saved_whole(self, index: WindowIndex) -> _Written:
        whole, before = index.to_bytes(), self._journals.get(index.view)
        journal = window_journal_path(index.view, whole)
        if journal == before:  # the very index that the journal goes on from
            self._remove(journal)
        self._store.put(window_index_path(index.view), whole)
        self._journals[index.view] = journal
        if before is not None and before != journal:
            self._remove(before)
        return _Written(index, len(whole))

    def _got_or_empty(self, path: str) -> bytes:
        try:
            return self._store.get(path)
        except NotInStore:
            return b""

    def _files(self, view: str) -> frozenset[str]:
        return frozenset(path.rsplit("/", 1)[1] for path in self._store.paths(window_folder(view)))

    def _written(self, frame: NewFrame) -> StoreError | None:
        try:
            self._store.put(f"{window_folder(frame.view)}/{frame.kept.name}", frame.encoded)
        except StoreError as error:
            return error
        return None

    def _remove(self, path: str) -> None:
        with suppress(NotInStore):  # what matters is that it is gone
            self._store.delete(path)
