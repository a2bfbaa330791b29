"""PictureClaim checks: what is fetched, and that nothing else can be reached."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from ingest.claims import MOST_AT_ONCE, Claims, ClaimSettings, ObjectStore, Prefix
from ingest.contract import SourceRecord
from ingest.frame import BadFrame, DeadLetterReason, Frame, PictureClaim
from ingest.store import UnknownStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PICTURE = b"\xff\xd8 a picture"


def claim_of(uri: str, content: bytes = PICTURE, **changes: object) -> PictureClaim:
    """A right claim, but for the changes."""
    fields: dict[str, object] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    return PictureClaim(uri, **{**fields, **changes})


def frame_with(claim: PictureClaim, view: str = "line-1/cam") -> Frame:
    """A frame without a picture."""
    source = SourceRecord(topic="frames", partition=0, offset=0)
    return Frame(view, view, "f", b"", source, 0, claim=claim)


def claims(*prefixes: str, **settings: object) -> Claims:
    """Over these prefixes; an object that is not there is waited for a tenth of a second."""
    read = ClaimSettings.model_validate({"prefixes": prefixes, "wait_seconds": 0.1, **settings})
    return Claims(read, clock=time.monotonic)


def reason(claims: Claims, claim: PictureClaim) -> DeadLetterReason:
    """Why it cannot be fetched."""
    with pytest.raises(BadFrame) as refused:
        claims.encoded(frame_with(claim))
    return refused.value.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture, beside another that no claim may reach."""
    (tmp_path / "frames" / "day 1").mkdir(parents=True)
    (tmp_path / "frames" / "day 1" / "ä.jpg").write_bytes(PICTURE)
    (tmp_path / "secret").write_bytes(PICTURE)
    (tmp_path / "frames-of-others").mkdir()
    (tmp_path / "frames-of-others" / "x.jpg").write_bytes(PICTURE)
    return tmp_path / "frames"


@pytest.mark.parametrize("address", ["{}/day 1/ä.jpg", "file://{}/day 1/ä.jpg", "file://{}/day%201/%C3%A4.jpg"])
@pytest.mark.parametrize("prefix", ["{}", "{}/", "file://{}"])
def test_a_picture_of_a_folder_is_fetched_however_it_is_addressed(folder: Path, prefix: str, address: str) -> None:
    """As a path, and as a URL with and without percent signs."""
    opened = claims(prefix.format(folder))
    frame = frame_with(claim_of(address.format(folder)))
    assert opened.encoded(frame) == PICTURE
    assert opened.filled(frame).encoded == PICTURE


@pytest.mark.parametrize(
    "address",
    [
        "{}/../secret",
        "{}/day 1/../../secret",
        "file://{}/%2e%2e/secret",
        "{}/./day 1/ä.jpg",
        "{}//day 1/ä.jpg",
        "{}/link",
        "{}/linked/secret",
        "{}/day 1\\..\\..\\secret",
        "{}-of-others/x.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://localhost{}/day 1/ä.jpg",
        "FILE://{}/day 1/ä.jpg",
        "http://127.0.0.1/day",
        "s3://bucket/x",
        "simplecache::file://{}/day 1/ä.jpg",
        "day 1/ä.jpg",
        "{}",
        "{}/",
        "{}/pipe",
        "{}/zero\x00",
    ],
)
def test_nothing_else_can_be_reached(folder: Path, address: str) -> None:
    """No `..`, no link, no folder of a similar name, no other scheme, no device."""
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    assert reason(claims(str(folder)), claim_of(address.format(folder))) is DeadLetterReason.CLAIM_REFUSED


@pytest.mark.parametrize("name", ["x::file:etc", "day 1", "day 1/ä.jpg/x", "a" * 300])
def test_what_is_below_a_prefix_and_no_file_is_missing(folder: Path, name: str) -> None:
    """An odd name, a folder, a path through a file, a name that no disk takes."""
    assert reason(claims(str(folder)), claim_of(f"{folder}/{name}")) is DeadLetterReason.CLAIM_MISSING


def test_a_link_that_stays_below_the_prefix_is_followed(folder: Path) -> None:
    """Also where the prefix itself is a link."""
    (folder / "newest.jpg").symlink_to(folder / "day 1" / "ä.jpg")
    mounted = folder.parent / "mounted"
    mounted.symlink_to(folder)
    assert claims(str(mounted)).encoded(frame_with(claim_of(f"{mounted}/newest.jpg"))) == PICTURE


def test_what_is_not_as_its_claim_says_is_not_taken(folder: Path) -> None:
    """Another size is found before anything is read; another hash after it."""
    opened, at = claims(str(folder)), f"{folder}/day 1/ä.jpg"
    assert reason(opened, claim_of(at, size_bytes=len(PICTURE) - 1)) is DeadLetterReason.CLAIM_DIFFERS
    assert reason(opened, claim_of(at, size_bytes=len(PICTURE) + 1)) is DeadLetterReason.CLAIM_DIFFERS
    assert reason(opened, claim_of(at, sha256="0" * 64)) is DeadLetterReason.CLAIM_DIFFERS


def test_a_picture_beyond_the_limit_is_not_read(folder: Path) -> None:
    """Nor one of no bytes; without prefixes no claim is read at all."""
    claim = claim_of(f"{folder}/day 1/ä.jpg")
    assert reason(claims(str(folder), max_bytes=len(PICTURE) - 1), claim) is DeadLetterReason.CLAIM_REFUSED
    assert reason(claims(str(folder)), claim_of(f"{folder}/day 1/ä.jpg", b"")) is DeadLetterReason.CLAIM_REFUSED
    assert reason(claims(), claim) is DeadLetterReason.CLAIM_CHECK_NOT_ENABLED


def test_a_picture_that_comes_late_is_waited_for(folder: Path) -> None:
    """The record may be faster than the file."""
    opened = claims(str(folder), wait_seconds=10)
    threading.Timer(0.3, (folder / "late.jpg").write_bytes, [PICTURE]).start()
    assert opened.encoded(frame_with(claim_of(f"{folder}/late.jpg"))) == PICTURE


class Tries:
    """The objects of a prefix; the test says what each read does."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.paths: list[str] = []

    def read(self, path: str, claim: PictureClaim) -> bytes:  # noqa: ARG002 -- the Protocol's
        """As the test wants."""
        self.paths.append(path)
        return self._read(path)


def missing(path: str) -> bytes:
    """There is only one object, `there`."""
    if path == "there":
        return PICTURE
    raise FileNotFoundError(path)


def of_tries(tries: Tries, **settings: object) -> Claims:
    """Claims below `x://`, by these tries."""
    read = ClaimSettings.model_validate({"prefixes": ["x:/"], **settings})
    return Claims(read, clock=time.monotonic, open_prefix=lambda _: Prefix("x://", tries))


@pytest.mark.slow
def test_a_view_whose_pictures_are_missing_is_not_waited_for_again() -> None:
    """The first is tried several times, the next ones once; once one is there, it is waited for again."""
    tries = Tries(missing)
    opened = of_tries(tries, wait_seconds=0.4)

    def tried(path: str, view: str = "line-1/cam") -> int:
        before = len(tries.paths)
        with pytest.raises(BadFrame, match="cannot be read"):
            opened.encoded(frame_with(claim_of(f"x://{path}"), view))
        return len(tries.paths) - before

    assert tried("a") > 1
    assert tried("b") == 1
    assert tried("a", view="line-2/cam") > 1
    assert opened.encoded(frame_with(claim_of("x://there"))) == PICTURE
    assert tried("c") > 1


def test_a_store_that_does_not_answer_is_asked_only_now_and_then() -> None:
    """What is claimed meanwhile is answered at once; once it answers, however slowly, all is well again."""
    ends, hung = threading.Event(), [True]

    def answers(_: str) -> bytes:
        if hung[0]:
            ends.wait(60)
        return PICTURE

    now = [0.0]
    tries = Tries(answers)
    settings = ClaimSettings(prefixes=("x:/",), wait_seconds=0.1)
    opened = Claims(settings, clock=lambda: now[0] + time.monotonic(), open_prefix=lambda _: Prefix("x://", tries))
    try:
        for number in range(40):
            assert reason(opened, claim_of(f"x://{number}")) is DeadLetterReason.CLAIM_MISSING
        assert len(tries.paths) < 40
        hung[0] = False
        now[0] += 100
        assert opened.encoded(frame_with(claim_of("x://there"))) == PICTURE
        assert opened.encoded(frame_with(claim_of("x://there"))) == PICTURE
    finally:
        ends.set()


@pytest.mark.slow
def test_reads_that_do_not_end_are_bounded() -> None:
    """Each keeps a thread: there are never more than so many."""
    ends, now = threading.Event(), [0.0]

    def hangs(_: str) -> bytes:
        ends.wait(60)
        return PICTURE

    tries = Tries(hangs)
    settings = ClaimSettings(prefixes=("x:/",), wait_seconds=0.05)
    opened = Claims(settings, clock=lambda: now[0] + time.monotonic(), open_prefix=lambda _: Prefix("x://", tries))
    try:
        for number in range(MOST_AT_ONCE + 4):
            now[0] += 100
            assert reason(opened, claim_of(f"x://{number}")) is DeadLetterReason.CLAIM_MISSING
        assert len(tries.paths) == MOST_AT_ONCE
    finally:
        ends.set()


def test_a_file_that_is_still_written_is_waited_for(folder: Path) -> None:
    """It is shorter than its claim at first; one that stays so differs."""
    late = folder / "half.jpg"
    late.write_bytes(PICTURE[:5])
    assert reason(claims(str(folder)), claim_of(str(late))) is DeadLetterReason.CLAIM_DIFFERS
    opened = claims(str(folder), wait_seconds=10)
    threading.Timer(0.3, late.write_bytes, [PICTURE]).start()
    assert opened.encoded(frame_with(claim_of(str(late)))) == PICTURE


def test_what_a_store_said_before_it_fell_silent_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last read of a picture that is too short may not end in time: it differs all the same."""
    ends, asked = threading.Event(), list[str]()
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.pipe("/claims/half.jpg", PICTURE[:5])
    says = memory.info

    def info(path: str) -> dict[str, object]:
        asked.append(path)
        if len(asked) > 1:
            ends.wait(60)
        told: dict[str, object] = says(path)
        return told

    monkeypatch.setattr(memory, "info", info)
    prefix = Prefix("x://", ObjectStore(memory, "/claims"))
    settings = ClaimSettings(prefixes=("x:/",), wait_seconds=0.2)
    opened = Claims(settings, clock=time.monotonic, open_prefix=lambda _: prefix)
    try:
        assert reason(opened, claim_of("x://half.jpg")) is DeadLetterReason.CLAIM_DIFFERS
        assert len(asked) == 2
    finally:
        ends.set()


def test_a_prefix_of_an_unknown_kind_is_refused_at_the_start() -> None:
    """Not with the first frame."""
    with pytest.raises(UnknownStore, match=r"claims\.prefixes: cannot open 'nosuch://x'"):
        claims("nosuch://x")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A bucket, `cameras`, on an S3 server of this machine, with a picture."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "camera")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of no use elsewhere")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3 = fsspec.filesystem("s3", skip_instance_cache=True)
    s3.mkdir("cameras")
    s3.pipe("cameras/line-1/ä 1.jpg", PICTURE)
    s3.pipe("cameras/other/x.jpg", PICTURE)
    try:
        yield s3
    finally:
        server.stop()
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.slow
def test_pictures_of_an_object_store_are_fetched_and_nothing_beside_them(bucket: fsspec.AbstractFileSystem) -> None:
    """From an S3 server: one that is there, one that comes late, one that is not, one that differs, one elsewhere."""
    opened = claims("s3://cameras/line-1/", wait_seconds=5)
    assert opened.encoded(frame_with(claim_of("s3://cameras/line-1/ä 1.jpg"))) == PICTURE
    late = threading.Timer(0.3, bucket.pipe, ["cameras/line-1/late.jpg", PICTURE])
    late.start()
    assert opened.encoded(frame_with(claim_of("s3://cameras/line-1/late.jpg"))) == PICTURE
    late.join()
    at = "s3://cameras/line-1/ä 1.jpg"
    assert reason(opened, claim_of(at, size_bytes=99)) is DeadLetterReason.CLAIM_DIFFERS
    assert reason(opened, claim_of(at, sha256="0" * 64)) is DeadLetterReason.CLAIM_DIFFERS
    for address in ("s3://cameras/other/x.jpg", "s3://cameras/line-1/../other/x.jpg", "s3://line-1/x", "/etc/passwd"):
        assert reason(opened, claim_of(address)) is DeadLetterReason.CLAIM_REFUSED
    quick = claims("s3://cameras/line-1/", "s3://no-bucket/x", wait_seconds=0.5)
    assert reason(quick, claim_of("s3://cameras/line-1/none.jpg")) is DeadLetterReason.CLAIM_MISSING
    assert reason(quick, claim_of("s3://no-bucket/x/y")) is DeadLetterReason.CLAIM_MISSING
