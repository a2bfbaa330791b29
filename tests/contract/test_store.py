"""Every store keeps the same promises, whatever lies below; what only a disk can show is shown on one."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.store import FsspecStore, NotInStore, Store, StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["plain path", "file url", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    urls: dict[str, Callable[[], str]] = {
        "plain path": lambda: str(tmp_path / "store"),
        "file url": lambda: f"file://{tmp_path}/store",
        "memory": lambda: f"memory://{uuid.uuid4().hex}/store",
    }
    return FsspecStore.open(urls[request.param]())


def test_what_was_put_is_what_one_gets(store: Store) -> None:
    """Bytes come back unchanged, and a second put replaces the first."""
    store.put("banks/line-1%2Fcam/a.safetensors", b"one")
    assert store.get("banks/line-1%2Fcam/a.safetensors") == b"one"
    store.put("banks/line-1%2Fcam/a.safetensors", b"two")
    assert store.get("banks/line-1%2Fcam/a.safetensors") == b"two"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(data=st.binary(max_size=2000))
def test_any_bytes_survive(store: Store, data: bytes) -> None:
    """No byte is special, and neither is having none."""
    store.put("a/b", data)
    assert store.get("a/b") == data


def test_paths_are_listed_below_a_folder_and_sorted(store: Store) -> None:
    """A listing names whole paths that can be given to get; a folder that is not there is empty."""
    for path in ("banks/b/2", "banks/a/1", "windows/x"):
        store.put(path, b"")
    assert store.paths("banks") == ["banks/a/1", "banks/b/2"]
    assert store.paths() == ["banks/a/1", "banks/b/2", "windows/x"]
    assert store.paths("nothing/here") == []


def test_what_is_appended_follows_what_is_there(store: Store) -> None:
    """A first append makes the file; a put replaces all of it."""
    store.append("windows/x/index.journal", b"one")
    store.append("windows/x/index.journal", b" two")
    assert store.get("windows/x/index.journal") == b"one two"
    store.put("windows/x/index.journal", b"three")
    store.append("windows/x/index.journal", b" four")
    assert store.get("windows/x/index.journal") == b"three four"


def test_folders_are_listed_without_what_is_in_them(store: Store) -> None:
    """One level of names; a file is no folder, and a folder that is not there has none."""
    for path in ("windows/b/2", "windows/a/deep/1", "windows/x"):
        store.put(path, b"")
    assert store.folders("windows") == ["a", "b"]
    assert store.folders("nothing") == []


def test_a_deleted_file_is_gone(store: Store) -> None:
    """Existence follows put and delete."""
    store.put("a/b", b"x")
    assert store.exists("a/b")
    assert not store.exists("a")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert store.paths() == []


def test_a_deleted_folder_is_gone_with_all_in_it(store: Store) -> None:
    """And nothing beside it, whatever its name begins with."""
    for path in ("a/b", "a/c/d", "ab/e"):
        store.put(path, b"x")
    store.delete_folder("a")
    store.delete_folder("a")
    assert store.paths() == ["ab/e"]


@pytest.mark.parametrize("act", ["get", "delete"])
def test_a_file_that_is_not_there_has_a_named_error(store: Store, act: str) -> None:
    """The error names the path."""
    with pytest.raises(NotInStore, match=r"^there is no 'banks/none' in the store$"):
        getattr(store, act)("banks/none")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a//b", "../up", "a/../b", "a/./b", "a b", "a\nb", "a/"])
def test_a_path_that_could_leave_the_store_is_refused(store: Store, path: str) -> None:
    """Only plain parts are paths; nothing escapes the root."""
    with pytest.raises(StoreError, match="is not a path in the store"):
        store.put(path, b"x")


def test_an_unknown_kind_of_store_says_what_to_do() -> None:
    """One sentence instead of a driver's traceback."""
    with pytest.raises(StoreError, match=r"cannot open the store 'nosuch://x'.*use a folder, file://\.\.\. or s3://"):
        FsspecStore.open("nosuch://x")


def test_the_uri_opens_the_same_file(tmp_path: Path) -> None:
    """What a message says about a bank leads to its bytes."""
    store = FsspecStore.open(str(tmp_path))
    store.put("banks/a", b"x")
    assert store.uri("banks/a") == f"file://{tmp_path}/banks/a"


def test_a_read_only_disk_has_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed rename leaves neither the file nor its unfinished part."""
    store = FsspecStore.open(str(tmp_path))

    def refuse(_: Path, __: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreError, match=r"cannot write 'a'.*check the store's address and rights"):
        store.put("a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    """A process that may write 4 KiB a file puts 1 MiB: StoreFull, the old version stays, no half file lies about."""
    FsspecStore.open(str(tmp_path)).put("bank", b"old")
    program = (
        "import sys\n"
        "from ingest.store import FsspecStore, StoreFull\n"
        "try:\n"
        "    FsspecStore.open(sys.argv[1]).put('bank', bytes(1024 * 1024))\n"
        "except StoreFull as error:\n"
        "    print(error)\n"
    )

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert said.stdout.startswith("no room to write 'bank'"), said.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["bank"]
    assert (tmp_path / "bank").read_bytes() == b"old"


def test_a_store_that_does_not_take_files_says_so_until_it_does(tmp_path: Path) -> None:
    """For /readyz: what was wrong with the last write, and nothing once one went well."""
    store = FsspecStore.open(str(tmp_path / "store"))
    assert store.write_fault is None
    store.put("banks", b"a file where a folder should be")
    with pytest.raises(StoreError) as failed:
        store.put("banks/a", b"1")
    assert store.write_fault == str(failed.value)
    store.append("windows/a", b"1")
    assert store.write_fault is None


def test_a_writer_killed_half_way_leaves_no_file_to_be_read(tmp_path: Path) -> None:
    """What lies beside, unfinished, is neither listed nor readable as the file."""
    store = FsspecStore.open(str(tmp_path))
    store.put("banks/a", b"x")
    (tmp_path / "banks" / ".unfinished-0").write_bytes(b"half")
    assert store.paths("banks") == ["banks/a"]


def test_a_stored_file_can_be_read_by_others(tmp_path: Path) -> None:
    """Trainer and inference may run as different users: the file's mode follows the umask, not a temporary file's."""
    FsspecStore.open(str(tmp_path)).put("a", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_store_full_is_a_store_error() -> None:
    """Who handles StoreError handles a full store."""
    assert issubclass(StoreFull, StoreError)
