"""Windows on the store: a folder for each view with its frames and its index, and how far each partition was read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ingest.store import NotInStore, StoreError
from ingest.store_layout import (
    INDEX,
    WINDOWS,
    frame_path,
    position_path,
    window_folder,
    window_index_path,
    windows_among,
)
from trainer.window import InvalidIndex, NewerIndex, WindowIndex, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.store import Store
    from trainer.window import KeptFrame

log = structlog.get_logger(__name__)

WRITERS = 8


@dataclass(frozen=True)
class NewFrame:
    """A frame that is to be kept, with its bytes."""

    view: str
    kept: KeptFrame
    encoded: bytes


class WindowStore:
    """Reads and writes windows. Methods raise StoreError where the store does not do its part."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # A disk makes each file wait for itself (10 ms were measured); side by side it is a tenth of that.
        self._writers = ThreadPoolExecutor(WRITERS, "window")

    def load_all(self, topic: str) -> list[WindowIndex]:
        """Every window that was filled from this topic."""
        views = windows_among(self._store.paths(WINDOWS))
        indexes = [index for index in map(self.load, views) if index is not None]
        return [index for index in indexes if index.topic == topic]

    def load(self, view: str) -> WindowIndex | None:
        """The window of a view; None where it has none, or a damaged one. Raises NewerIndex."""
        try:
            return WindowIndex.from_bytes(self._store.get(window_index_path(view)))
        except NotInStore:
            return None
        except NewerIndex:
            raise
        except InvalidIndex as error:
            log.error("window_damaged", view=view, detail=str(error))  # noqa: TRY400 -- the sentence says it all
            return None

    def swept(self, index: WindowIndex) -> WindowIndex:
        """The index with only frames whose files are there; files that it does not name are deleted."""
        named = {frame.name for frame in index.frames}
        for stray in self._files(index.view) - named - {INDEX}:
            self._remove(f"{window_folder(index.view)}/{stray}")
        return self.complete(index)

    def complete(self, index: WindowIndex) -> WindowIndex:
        """The index with only frames whose files are there: one that somebody deleted would fail a build."""
        lost = frozenset(frame.name for frame in index.frames) - self._files(index.view)
        if not lost:
            return index
        log.warning("window_frames_lost", view=index.view, frames=len(lost))
        return without(index, lost)

    def keep(self, frames: Sequence[NewFrame]) -> list[tuple[NewFrame, StoreError]]:
        """Write the files of frames side by side; the indexes that name them come after. Returns what found no room."""
        ends = zip(frames, self._writers.map(self._written, frames), strict=True)
        return [(frame, error) for frame, error in ends if error is not None]

    def save(self, index: WindowIndex) -> None:
        """Write an index: from now on it is the truth."""
        self._store.put(window_index_path(index.view), index.to_bytes())

    def delete(self, view: str, frames: Iterable[KeptFrame]) -> None:
        """Remove files that the saved index no longer names."""
        for frame in frames:
            self._remove(frame_path(view, frame.partition, frame.offset))

    def position(self, topic: str, partition: int) -> int:
        """The first offset of a partition that is not in the windows; 0 where nothing was read yet."""
        try:
            return int(self._store.get(position_path(topic, partition)))
        except NotInStore:
            return 0

    def save_position(self, topic: str, partition: int, offset: int) -> None:
        """Say how far a partition was read, after the indexes of all its views are saved."""
        self._store.put(position_path(topic, partition), str(offset).encode())

    def _files(self, view: str) -> set[str]:
        return {path.rsplit("/", 1)[1] for path in self._store.paths(window_folder(view))}

    def _written(self, frame: NewFrame) -> StoreError | None:
        try:
            self._store.put(frame_path(frame.view, frame.kept.partition, frame.kept.offset), frame.encoded)
        except StoreError as error:
            return error
        return None

    def _remove(self, path: str) -> None:
        with suppress(NotInStore):  # what matters is that it is gone
            self._store.delete(path)
