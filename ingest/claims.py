"""PictureClaim checks: pictures that lie in a store while their frames carry an address, a hash and a size.

A sender names any address it likes, so none is opened that is not below a prefix of the settings: no other scheme, no
`..`, no symbolic link that leads elsewhere, no device. The size is compared before anything is read, and no more is
read than that. What goes wrong is a `BadFrame` with the reason of its dead letter.

An object that is not there yet, or not whole, is waited for, for `wait_seconds` at most. Where that was in vain, later
ones of the same view are looked for once, until one is there. Where a store does not answer, it is asked again only now
and then, and what is claimed below its prefix meanwhile is answered at once: others keep their deadline.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import unquote

import fsspec
from pydantic import BaseModel, ConfigDict, Field

from ingest.frame import BadFrame, DeadLetterReason
from ingest.store import UnknownStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.frame import Frame, PictureClaim

MIB = 2**20
FILE = "file"
FIRST_PAUSE_SECONDS = 0.05
"""Before an object that is missing is looked for again; doubled each time."""
ASKED_AGAIN = 5
"""A store that does not answer is asked again after so many times `wait_seconds`."""
MOST_AT_ONCE = 16
"""Reads under way; a store that hangs holds each of them up until its own driver gives in."""
MOST_SUSPECTS = 1000


class ClaimSettings(BaseModel):
    """The `claims` section of `patchline.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefixes: tuple[str, ...] = Field(
        default=(),
        description="Folders and addresses below which pictures may be claimed, as /data/frames or s3://bucket/frames; "
        "none: claims are dead letters.",
    )
    max_bytes: int = Field(default=64 * MIB, ge=1, description="A larger picture is not read.")
    wait_seconds: float = Field(
        default=1.0, gt=0, le=10, description="For an object that is not there yet, or a store that does not answer."
    )


class _NotWhole(OSError):
    """An object that is shorter than it should be: it may still be written."""


class Objects(Protocol):
    """The objects below one prefix, by the part of their address behind it."""

    def read(self, path: str, claim: PictureClaim) -> bytes:
        """The bytes, at most one more than the claim says.

        Raises:
            FileNotFoundError: there is no such object.
            Exception: whatever the store's driver raises.
            BadFrame: the object is larger than the claim says, or lies elsewhere.
        """
        ...


class Folder:
    """A folder of this machine. What is opened is looked at, so that no link can be changed in between."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, claim: PictureClaim) -> bytes:
        """The bytes of a plain file below the folder."""
        with open(self._root / path, "rb", opener=_without_waiting) as file:
            place = Path(f"/proc/self/fd/{file.fileno()}").readlink()
            if not place.is_relative_to(self._root.resolve()):
                raise BadFrame(DeadLetterReason.CLAIM_REFUSED, f"{claim.uri} leads out of its prefix")
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadFrame(DeadLetterReason.CLAIM_REFUSED, f"{claim.uri} is no file")
            _check_size(found.st_size, claim)
            return file.read(claim.size_bytes + 1)


class ObjectStore:
    """A prefix of anything else that fsspec knows."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def read(self, path: str, claim: PictureClaim) -> bytes:
        """The bytes of an object below the prefix."""
        at = f"{self._root}/{path}"
        self._filesystem.invalidate_cache()
        _check_size(int(self._filesystem.info(at)["size"]), claim)
        found: bytes = self._filesystem.cat_file(at, start=0, end=claim.size_bytes + 1)
        return found


@dataclass(frozen=True)
class Prefix:
    """One place that claims may name: its address ends with a slash."""

    address: str
    objects: Objects

    @classmethod
    def open(cls, text: str) -> Self:
        """The place behind a setting. Raises UnknownStore where no driver for it is installed."""
        if "://" not in text or text.startswith(f"{FILE}://"):
            folder = Path(text.removeprefix(f"{FILE}://")).absolute()
            return cls(f"{FILE}://{folder}".rstrip("/") + "/", Folder(folder))
        try:
            filesystem, root = fsspec.url_to_fs(text)
        except (ImportError, ValueError) as error:
            raise UnknownStore(f"claims.prefixes: cannot open {text!r}: {error}") from error
        return cls(text.rstrip("/") + "/", ObjectStore(filesystem, root))


class Claims:
    """Fetches what frames claim. Any thread may call it, several at once."""

    def __init__(
        self,
        settings: ClaimSettings,
        *,
        clock: Callable[[], float],
        open_prefix: Callable[[str], Prefix] = Prefix.open,
    ) -> None:
        """Raises UnknownStore where no driver for one of the prefixes is installed."""
        self._settings = settings
        self._clock = clock
        self._prefixes = [open_prefix(each) for each in settings.prefixes]
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._missing: OrderedDict[str, None] = OrderedDict()
        """Views whose last claim was waited for in vain."""
        self._silent: dict[str, float] = {}
        """When to ask again below prefixes whose store does not answer."""
        self._lock = threading.Lock()

    def encoded(self, frame: Frame) -> bytes:
        """The picture of a frame: its own, or the one it claims. Raises BadFrame."""
        return frame.encoded if frame.claim is None else self._fetched(frame.claim, frame.view)

    def filled(self, frame: Frame) -> Frame:
        """The frame with its picture. Raises BadFrame."""
        return replace(frame, encoded=self.encoded(frame))

    def _fetched(self, claim: PictureClaim, view: str) -> bytes:
        if not self._prefixes:
            raise BadFrame(DeadLetterReason.CLAIM_CHECK_NOT_ENABLED, "claim checks (claims.prefixes) are not enabled")
        if not 0 < claim.size_bytes <= self._settings.max_bytes:
            limit = f"a picture has 1 to {self._settings.max_bytes} bytes (claims.max_bytes)"
            raise BadFrame(DeadLetterReason.CLAIM_REFUSED, f"the claim is for {claim.size_bytes} bytes; {limit}")
        prefix, path = self._place(claim)
        encoded = self._awaited(prefix, path, claim, view)
        if len(encoded) != claim.size_bytes:
            raise _other_size(len(encoded), claim)
        if hashlib.sha256(encoded).hexdigest() != claim.sha256:
            raise BadFrame(DeadLetterReason.CLAIM_DIFFERS, f"{claim.uri} has another sha256 than its claim says")
        return encoded

    def _place(self, claim: PictureClaim) -> tuple[Prefix, str]:
        """The prefix that an address lies below, and the rest of it."""
        uri = f"{FILE}://{claim.uri}" if claim.uri.startswith("/") else claim.uri
        if claim.uri.startswith(f"{FILE}://"):
            uri = unquote(uri)
        for prefix in self._prefixes:
            if uri.startswith(prefix.address) and _leads_down(path := uri.removeprefix(prefix.address)):
                return prefix, path
        raise BadFrame(DeadLetterReason.CLAIM_REFUSED, f"{claim.uri} is below no prefix of claims.prefixes")

    def _awaited(self, prefix: Prefix, path: str, claim: PictureClaim, view: str) -> bytes:
        """Tries until the object is there, or the time is over: then what the store said last, if it said anything."""
        self._require_asking(prefix, claim)
        ends, pause = self._clock() + self._settings.wait_seconds, FIRST_PAUSE_SECONDS
        answered: BadFrame | None = None
        while True:
            try:
                encoded = self._read_by(ends, prefix, path, claim)
            except BadFrame:
                raise
            except _NotWhole as error:
                failed = answered = _other_size(int(str(error)), claim)
            except Exception as error:  # noqa: BLE001 -- drivers raise their own kinds
                failed = _missing(claim, f"{type(error).__name__}: {error}")
                if isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError):
                    answered = failed
            else:
                self._was_there(prefix, view)
                return encoded
            left = ends - self._clock()
            if left <= 0 or view in self._missing:
                self._gave_up(prefix, view, is_silent=answered is None)
                raise answered or failed
            threading.Event().wait(min(pause, left))
            pause *= 2

    def _require_asking(self, prefix: Prefix, claim: PictureClaim) -> None:
        """Raises BadFrame where the store was asked in vain a moment ago."""
        now = self._clock()
        with self._lock:
            again_at = self._silent.get(prefix.address, now)
            if now < again_at:
                raise _missing(claim, "its store did not answer a moment ago")
            if prefix.address in self._silent:
                self._silent[prefix.address] = now + ASKED_AGAIN * self._settings.wait_seconds

    def _gave_up(self, prefix: Prefix, view: str, *, is_silent: bool) -> None:
        with self._lock:
            if is_silent:
                self._silent[prefix.address] = self._clock() + ASKED_AGAIN * self._settings.wait_seconds
                return
            self._missing[view] = None
            while len(self._missing) > MOST_SUSPECTS:
                self._missing.popitem(last=False)

    def _was_there(self, prefix: Prefix, view: str) -> None:
        with self._lock:
            self._silent.pop(prefix.address, None)
            self._missing.pop(view, None)

    def _read_by(self, ends: float, prefix: Prefix, path: str, claim: PictureClaim) -> bytes:
        """One read, given up at a moment. Raises what it raises, TimeoutError where it does not end."""
        seconds = max(0.0, ends - self._clock())
        if not self._places.acquire(timeout=seconds):
            raise TimeoutError(f"{MOST_AT_ONCE} other reads do not end")
        answers: SimpleQueue[bytes | BaseException] = SimpleQueue()

        def read() -> None:
            try:
                answers.put(prefix.objects.read(path, claim))
            except BaseException as error:  # noqa: BLE001 -- carried to whoever waits
                answers.put(error)
            finally:
                self._places.release()

        threading.Thread(target=read, name="claim", daemon=True).start()
        try:
            answer = answers.get(timeout=max(FIRST_PAUSE_SECONDS, ends - self._clock()))
        except Empty:
            raise TimeoutError("the store does not answer") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe would wait for whoever writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _leads_down(path: str) -> bool:
    """Whether a path below a prefix stays there, however a driver reads it."""
    parts = path.split("/")
    return all(part not in {"", ".", ".."} and part.isprintable() and "\\" not in part for part in parts)


def _check_size(found: int, claim: PictureClaim) -> None:
    if found < claim.size_bytes:
        raise _NotWhole(found)
    if found > claim.size_bytes:
        raise _other_size(found, claim)


def _missing(claim: PictureClaim, why: str) -> BadFrame:
    return BadFrame(DeadLetterReason.CLAIM_MISSING, f"{claim.uri} cannot be read: {why}")


def _other_size(found: int, claim: PictureClaim) -> BadFrame:
    text = f"{claim.uri} is not of the size that its claim says: {found} bytes instead of {claim.size_bytes}"
    return BadFrame(DeadLetterReason.CLAIM_DIFFERS, text)
