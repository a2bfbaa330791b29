"""Where files lie in the store: the one place that knows its folders.

    banks/<view>/<version>.safetensors      a memory bank
    banks/<view>/<version>.signature        the signature of that bank, where banks are signed
    windows/<view>/<partition>-<offset>.frame   one encoded frame of a view's window
    windows/<view>/<topic>-<partition>-<offset>.frame   one from another topic than the window's
    windows/<view>/index.json               what the window holds
    windows/<view>/index-<hash>.journal     what changed since the index of that hash was written
    positions/<topic>/<partition>           how far a partition of frames was read
    annotations/<view>/<annotation>/<number>.frame   one encoded frame that shows what an annotation is about
    gates/<view>/<time>-<version>.json      what the gate said of a bank; the time is of the examination, UTC
    pictures/<view>/<day>/<decision>.frame  the encoded frame of a recorded decision
    pictures/<view>/<day>/<decision>.jpg    the same, small

Views and annotations are percent-encoded (`ingest.view.file_name`); an annotation whose id is too long for a file name
so is named by the sha256 of its id.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from ingest.view import MAX_FILE_NAME_BYTES, file_name, view_of_file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

BANKS = "banks"
WINDOWS = "windows"
POSITIONS = "positions"
ANNOTATIONS = "annotations"
GATES = "gates"
PICTURES = "pictures"
BANK_SUFFIX = ".safetensors"
SIGNATURE_SUFFIX = ".signature"
INDEX = "index.json"
JOURNAL_SUFFIX = ".journal"


class BankPath(NamedTuple):
    """What the path of a bank file says."""

    view: str
    version: str


def bank_folder(view: str) -> str:
    """The folder of a view's bank files."""
    return f"{BANKS}/{file_name(view)}"


def bank_path(view: str, version: str) -> str:
    """Where a bank lies; `BankInForce.uri` holds it."""
    return f"{bank_folder(view)}/{version}{BANK_SUFFIX}"


def signature_path(bank: str) -> str:
    """Where the signature of the bank at a path lies."""
    return bank.removesuffix(BANK_SUFFIX) + SIGNATURE_SUFFIX


def banks_among(paths: Iterable[str]) -> Iterator[BankPath]:
    """The banks among paths of the folder of banks; other files are left out."""
    for path in paths:
        _, folder, name = path.split("/", 2)
        if name.endswith(BANK_SUFFIX):
            yield BankPath(view_of_file_name(folder), name.removesuffix(BANK_SUFFIX))


def window_folder(view: str) -> str:
    """The folder of a view's window."""
    return f"{WINDOWS}/{file_name(view)}"


def window_index_path(view: str) -> str:
    """Where the index of a view's window lies."""
    return f"{window_folder(view)}/{INDEX}"


def window_journal_path(view: str, index: bytes) -> str:
    """Where the changes lie that came after the index of these bytes."""
    return f"{window_folder(view)}/index-{hashlib.sha256(index).hexdigest()[:16]}{JOURNAL_SUFFIX}"


def views_among(folders: Iterable[str]) -> Iterator[str]:
    """The views whose folders (their names) are in the folder of windows."""
    return map(view_of_file_name, folders)


def frame_file_name(partition: int, offset: int, topic: str | None = None) -> str:
    """The file name of a frame within its window's folder; a frame read again gets the same one.

    `topic`: where the frame comes from another one than the window's.
    """
    return f"{partition}-{offset}.frame" if topic is None else f"{topic}-{partition}-{offset}.frame"


def frame_path(view: str, partition: int, offset: int, topic: str | None = None) -> str:
    """Where a frame of a view's window lies."""
    return f"{window_folder(view)}/{frame_file_name(partition, offset, topic)}"


def position_path(topic: str, partition: int) -> str:
    """Where the position of a partition lies."""
    return f"{POSITIONS}/{topic}/{partition}"


def annotation_folder(view: str) -> str:
    """The folder of the frames that a view's annotations keep."""
    return f"{ANNOTATIONS}/{file_name(view)}"


def exemplar_path(view: str, annotation: str, number: int) -> str:
    """Where the `number`-th frame of an annotation lies; `Exemplar.path` holds it."""
    folder = file_name(annotation)
    if len(folder) > MAX_FILE_NAME_BYTES:
        folder = hashlib.sha256(annotation.encode()).hexdigest()
    return f"{annotation_folder(view)}/{folder}/{number}.frame"


def gate_folder(view: str) -> str:
    """The folder of what the gate said of a view's banks."""
    return f"{GATES}/{file_name(view)}"


def gate_record_path(view: str, at: datetime, version: str) -> str:
    """Where the record of one examination lies; names sort by time."""
    return f"{gate_folder(view)}/{at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{version}.json"


def picture_path(view: str, decided_at: datetime, decision: str) -> str:
    """Where the frame of a recorded decision lies; days are those of UTC."""
    return f"{PICTURES}/{file_name(view)}/{decided_at.astimezone(UTC):%Y-%m-%d}/{decision}.frame"


def thumbnail_path(view: str, decided_at: datetime, decision: str) -> str:
    """Where it lies as a small JPEG."""
    return picture_path(view, decided_at, decision).removesuffix(".frame") + ".jpg"
