"""The store: bytes under slash-separated paths, on a disk or in an object store; nobody ever reads half a file.

StoreError              the store does not do its part now
+-- UnknownStore    no driver for this kind of address: waiting cures nothing
+-- StoreFull       no room left; nothing was written
+-- NotInStore      there is no file under this path
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import fsspec

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = re.compile(r"^[A-Za-z0-9._%@=+-]+$")
UNFINISHED = ".unfinished-"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoreError(Exception):
    """The store failed; the message says what to do."""


class UnknownStore(StoreError):
    """The address is of a kind that nothing here can open."""


class StoreFull(StoreError):
    """There is no room for the file; nothing was written, an older version is untouched."""


class NotInStore(StoreError):
    """There is no file under this path."""


class Store(Protocol):
    """Bytes by path. Paths are relative, of parts that hold letters, digits and `._%@=+-`, joined by `/`."""

    def put(self, path: str, data: bytes) -> None:
        """Store `data` whole, replacing what was there, or not at all. Raises StoreFull, StoreError."""
        ...

    def append(self, path: str, data: bytes) -> None:
        """Add `data` at the end of a file, which is made where there is none. Raises StoreFull, StoreError.

        A failure, or a crash, may leave a part of `data` there, which is the reader's to find.
        """
        ...

    def get(self, path: str) -> bytes:
        """The bytes last put. Raises NotInStore, StoreError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether something was put under `path`."""
        ...

    def paths(self, prefix: str = "") -> list[str]:
        """The paths of all files below a folder, sorted; none where there is no such folder."""
        ...

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted, without looking at what is in them."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file. Raises NotInStore."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it; nothing happens where there is none."""
        ...

    def uri(self, path: str) -> str:
        """The full address of a file, as it is named in messages."""
        ...


class FsspecStore:
    """The one door to fsspec: `file://`, a plain path, `memory://`, or any object store that fsspec knows."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, *, scheme: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._scheme = scheme
        self._made = False
        self.write_fault: str | None = None
        """What was wrong with the last write; None where it went well. From any thread."""

    @classmethod
    def open(cls, url: str) -> Self:
        """The store under a URL or a local folder. It is not reached for before something is put or read.

        A service that starts while the store is down waits for it as it would later; the first `put` makes the folder.

        Raises:
            UnknownStore: the kind of store is unknown, or its driver is not installed.
        """
        try:
            filesystem, root = fsspec.url_to_fs(str(Path(url).absolute()) if "://" not in url else url)
        except (ImportError, ValueError) as error:
            raise UnknownStore(
                f"cannot open the store {url!r}: {error}; use a folder, file://... or s3://..."
            ) from error
        scheme = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
        return cls(filesystem, root, scheme=scheme)

    def put(self, path: str, data: bytes) -> None:
        """Store whole or not at all; on disks written beside, flushed, and renamed. Raises StoreFull, StoreError."""
        with self._writing(path):
            if self._scheme == "file":
                _put_on_disk(Path(self._at(path)), data)
            else:
                self._make_root()
                self._filesystem.pipe_file(self._at(path), data)

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file; object stores write it whole. Raises StoreFull, StoreError."""
        with self._writing(path):
            if self._scheme == "file":
                _append_on_disk(Path(self._at(path)), data)
            else:
                before = self._filesystem.cat_file(self._at(path)) if self._filesystem.isfile(self._at(path)) else b""
                self._filesystem.pipe_file(self._at(path), before + data)

    def get(self, path: str) -> bytes:
        """The bytes last put. Raises NotInStore, StoreError."""
        with _named(path, "read"):
            found: bytes = self._filesystem.cat_file(self._at(path))
            return found

    def exists(self, path: str) -> bool:
        """Whether something was put under `path`. Raises StoreError."""
        with _named(path, "look for"):
            return bool(self._filesystem.isfile(self._at(path)))

    def paths(self, prefix: str = "") -> list[str]:
        """The paths of all files below a folder, sorted. Raises StoreError."""
        start = self._at(prefix) if prefix else self._root
        with _named(prefix, "list"):
            self._filesystem.invalidate_cache()
            found = self._filesystem.find(start) if self._filesystem.isdir(start) else []
        skip = len(self._root) + 1
        return sorted(each[skip:] for each in found if UNFINISHED not in each)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted. Raises StoreError."""
        with _named(folder, "list"):
            self._filesystem.invalidate_cache()
            at = self._at(folder)
            found = self._filesystem.ls(at, detail=True) if self._filesystem.isdir(at) else []
        return sorted(each["name"].rstrip("/").rsplit("/", 1)[1] for each in found if each["type"] == "directory")

    def delete(self, path: str) -> None:
        """Remove a file. Raises NotInStore, StoreError."""
        with _named(path, "delete"):
            if not self._filesystem.isfile(self._at(path)):
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            self._filesystem.rm_file(self._at(path))

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it; nothing happens where there is none. Raises StoreError."""
        with _named(folder, "delete"):
            self._filesystem.invalidate_cache()
            at = self._at(folder)
            if self._filesystem.isdir(at):
                self._filesystem.rm(at, recursive=True)

    def uri(self, path: str) -> str:
        """The full address of a file."""
        return str(self._filesystem.unstrip_protocol(self._at(path)))

    def _make_root(self) -> None:
        if not self._made:
            self._filesystem.makedirs(self._root, exist_ok=True)
            self._made = True

    @contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        try:
            with _named(path, "write"):
                yield
        except StoreError as error:
            self.write_fault = str(error)
            raise
        self.write_fault = None

    def _at(self, path: str) -> str:
        parts = path.split("/")
        if not all(PART.match(part) and set(part) != {"."} for part in parts):
            raise StoreError(
                f"{path!r} is not a path in the store: use parts of letters, digits and ._%@=+- joined by /"
            )
        return "/".join([self._root, *parts])


def _put_on_disk(target: Path, data: bytes) -> None:
    """A crash at any moment leaves the old file or the new one, never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{UNFINISHED}{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _append_on_disk(target: Path, data: bytes) -> None:
    is_new = not target.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Without it the rename itself may be lost with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _named(path: str, doing: str) -> Iterator[None]:
    """Errors of whatever lies below, by our names."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise NotInStore(f"there is no {path!r} in the store") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull(f"no room to {doing} {path!r}: {error}; free space in the store, then try again") from error
        raise StoreError(f"cannot {doing} {path!r}: {error}; check the store's address and rights") from error
    except Exception as error:  # object-store drivers raise their own kinds
        raise StoreError(f"cannot {doing} {path!r}: {type(error).__name__}: {error}") from error
