"""The frames of annotations on the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ingest.store import FsspecStore
from softpatch.building.labels import LabelledFrames
from tests.trainer.annotated import exemplar, group
from tests.trainer.views import state
from trainer.annotation_store import AnnotationStore
from trainer.build_order import AnnotationOrder
from trainer.labelled_frames import labelled_frames
from trainer.transition import FileCopy, NewFile

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "annotations/line-1%2Fcamera-1"


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    """An empty store."""
    return FsspecStore.open(str(tmp_path))


def test_frames_are_put_and_copied(store: FsspecStore) -> None:
    """A copy of a frame that somebody deleted is left out, with a log line: the others are enough."""
    store.put("windows/v/0-4.frame", b"four")
    files = [NewFile("annotations/a", b"new"), FileCopy("annotations/b", "windows/v/0-4.frame")]
    with capture_logs() as logs:
        AnnotationStore(store).write([*files, FileCopy("annotations/c", "windows/v/0-5.frame")])
    assert {path: store.get(path) for path in store.paths("annotations")} == {
        "annotations/a": b"new",
        "annotations/b": b"four",
    }
    assert logs == [
        {
            "event": "exemplar_not_kept",
            "log_level": "warning",
            "path": "annotations/c",
            "detail": "windows/v/0-5.frame is gone",
        }
    ]


def test_what_no_annotation_names_is_deleted(store: FsspecStore) -> None:
    """What a crash left, and what an undo let go; the frames of other views stay."""
    kept = exemplar("g00000001", 4).path
    for path in (kept, f"{FOLDER}/g00000001/1.frame", f"{FOLDER}/w-9/0.frame", "annotations/other/w-1/0.frame"):
        store.put(path, b"a frame")
    assert AnnotationStore(store).tidy(state(annotations=(group(),))) == 2
    assert store.paths("annotations") == [kept, "annotations/other/w-1/0.frame"]


def test_a_build_gets_the_frames_that_are_there(store: FsspecStore) -> None:
    """One that is gone is left out with a log line; a label without any still has its place."""
    store.put("annotations/a/1.frame", b"one")
    order = AnnotationOrder(
        id="g1",
        label="ignore",
        origin="group",
        box_xyxy=(0, 0, 0.5, 0.5),
        frames=("annotations/a/0.frame", "annotations/a/1.frame"),
    )
    with capture_logs() as logs:
        (labelled,) = labelled_frames(store, [order])
    assert labelled == LabelledFrames("g1", "ignore", "group", (0.0, 0.0, 0.5, 0.5), (b"one",))
    assert [(each["event"], each["path"]) for each in logs] == [("exemplar_missing", "annotations/a/0.frame")]
