"""Where files lie in the store: the paths are part of what a restart and an older process find again."""

from __future__ import annotations

from ingest.store_layout import (
    BankPath,
    bank_path,
    banks_among,
    exemplar_path,
    frame_path,
    position_path,
    views_among,
    window_index_path,
    window_journal_path,
)

VIEW = "line-1/cam.2@a/b"
FOLDER = "line-1%2Fcam%2E2%40a%2Fb"


def test_every_path_is_as_documented() -> None:
    """A view is one percent-encoded segment."""
    assert bank_path(VIEW, "a" * 64) == f"banks/{FOLDER}/{'a' * 64}.safetensors"
    assert window_index_path(VIEW) == f"windows/{FOLDER}/index.json"
    assert window_journal_path(VIEW, b"") == f"windows/{FOLDER}/index-e3b0c44298fc1c14.journal"
    assert frame_path(VIEW, 2, 45) == f"windows/{FOLDER}/2-45.frame"
    assert position_path("frames", 3) == "positions/frames/3"
    assert exemplar_path(VIEW, "g0a1b2c3d", 0) == f"annotations/{FOLDER}/g0a1b2c3d/0.frame"
    assert exemplar_path(VIEW, "a/b", 7) == f"annotations/{FOLDER}/a%2Fb/7.frame"


def test_an_annotation_of_any_id_has_a_folder_that_a_disk_can_make() -> None:
    """A hundred characters beyond ASCII, as an id may have, would take 900 bytes: such a folder could not be made."""
    long, other = "漢" * 100, "漢" * 99
    folder = exemplar_path(VIEW, long, 0).split("/")[2]
    assert len(folder) == 64
    assert folder != exemplar_path(VIEW, other, 0).split("/")[2]


def test_banks_and_windows_are_found_among_paths() -> None:
    """Other files of the same folders are none."""
    assert list(banks_among([bank_path(VIEW, "b" * 64), f"banks/{FOLDER}/readme.txt"])) == [BankPath(VIEW, "b" * 64)]
    assert list(views_among([FOLDER])) == [VIEW]
