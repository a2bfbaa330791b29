"""Which annotations are listed and found, and the pictures that are kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.errors import CommandFailed, UsageError
from deploy.history.annotations import (
    exemplar_frames,
    find_annotation,
    find_group,
    find_word,
    frame_outside,
    listed,
)
from ingest.annotation import Label
from ingest.store import FsspecStore
from softpatch.bank import Bank, bank_from_bytes
from softpatch.manifest import GroupRecord
from tests.deploy.annotations import VIEW, annotation, exemplar, view_state
from tests.trainer.bank_files import bank_file

if TYPE_CHECKING:
    from pathlib import Path

OPEN = annotation("g11aa22bb", hours=2)
ANSWERED = annotation("g11cc33dd", Label.DEFECT)
WORD = annotation("w-1", Label.GOOD, origin="feedback")
STATE = view_state(OPEN, ANSWERED, WORD)
OTHER = view_state(annotation("g99", hours=1), view="a/b")


def test_what_waits_for_a_word_is_listed_first() -> None:
    """Answered groups and words on frames only on request, behind all that is open."""
    short = listed([STATE, OTHER], view=None, every=False)
    assert [(view, each.id) for view, each in short] == [("a/b", "g99"), (VIEW, "g11aa22bb")]
    whole = listed([STATE, OTHER], view=None, every=True)
    assert [each.id for _, each in whole] == ["g99", "g11aa22bb", "g11cc33dd", "w-1"]
    assert [each.id for _, each in listed([STATE, OTHER], view=VIEW, every=False)] == ["g11aa22bb"]


def test_an_annotation_is_found_by_the_start_of_its_id() -> None:
    """As far as it says which."""
    assert find_annotation(STATE, "g11c") is ANSWERED
    with pytest.raises(UsageError, match=r"^2 ids of line-1/camera-1 start with g11; write more of it$"):
        find_annotation(STATE, "g11")
    with pytest.raises(UsageError, match=r"no group or word g7; patchline review list line-1/camera-1 --all shows"):
        find_annotation(STATE, "g7")
    with pytest.raises(UsageError, match="no group or word"):
        find_annotation(STATE, "")


def test_an_id_that_is_the_start_of_another_is_found() -> None:
    """By writing all of it."""
    state = view_state(annotation("g1"), annotation("g12"))
    assert find_annotation(state, "g1").id == "g1"


def test_groups_and_words_are_not_taken_for_each_other() -> None:
    """Each is taken back by a command of its own, which the refusal names."""
    assert find_group(STATE, "g11aa") is OPEN
    assert find_word(STATE, "w") is WORD
    with pytest.raises(UsageError, match="patchline feedback line-1/camera-1 w-1 undo takes it back"):
        find_group(STATE, "w-1")
    with pytest.raises(UsageError, match="patchline review undo line-1/camera-1 g11aa22bb opens it again"):
        find_word(STATE, "g11aa")


def test_the_kept_frames_are_read_from_the_store(tmp_path: Path) -> None:
    """Those that it still has; none at all is another store."""
    store = FsspecStore.open(str(tmp_path))
    store.put("annotations/a/0.frame", b"first")
    kept = [exemplar(4, "annotations/a/0.frame"), exemplar(5, "annotations/a/1.frame")]
    assert exemplar_frames(store, annotation("g1", exemplars=kept)) == [("frame-4", b"first")]
    with pytest.raises(CommandFailed, match=r"^the store has no picture of g2: set store\.url"):
        exemplar_frames(store, annotation("g2", exemplars=kept[1:]))


def bank_with_probes(group_members: list[str]) -> Bank:
    """A bank that keeps frames 3, 4 and 5 of its window, the first of which score highest."""
    bank = bank_from_bytes(bank_file())
    group = GroupRecord(
        id="g1",
        label="open",
        is_new=True,
        frames=2,
        share=0.1,
        box_xyxy=(0, 0, 1, 1),
        whole_frame=True,
        examples=group_members[:1],
        members=group_members,
    )
    scores = np.linspace(2, 1, len(bank.manifest.frame_names)).astype(np.float32)
    return replace(
        bank,
        manifest=bank.manifest.model_copy(update={"groups": [group]}),
        calibration_scores=scores,
        probe_frames=np.array([3, 4, 5], np.int32),
        probe_scores=np.ones(3, np.float32),
        probes=(b"three", b"four", b"five"),
    )


def test_beside_a_group_stands_the_most_ordinary_frame_of_none() -> None:
    """The lowest score of those that the bank keeps; none where it keeps only frames of groups."""
    assert frame_outside(bank_with_probes(["f5"])) == ("f4", b"four")
    assert frame_outside(bank_with_probes(["f3", "f4", "f5"])) is None
