"""The banks that a new one is held against: which one says what is new, where a word was taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_from_bytes, bank_version
from softpatch.settings import BuildSettings
from tests.trainer.bank_files import bank_file
from tests.trainer.views import VIEW
from trainer.build_order import AnnotationOrder, BuildOrder, GateOrder, NetworkRun
from trainer.prior_banks import prior_banks

if TYPE_CHECKING:
    from pathlib import Path

OPEN, GOOD = {"g1": "open"}, {"g1": "good"}


Labels = dict[str, str] | None


def active_threshold(folder: Path, *, parent: Labels, before: Labels, now: dict[str, str], lost: bool = False) -> float:
    """The threshold of the bank that a new one is held against: 3 that of the parent, 2 that of the one before.

    Each bank was built when these annotations had these labels; None: by a release that did not write them down.
    """
    store = FsspecStore.open(str(folder))
    files = []
    for number, labels in enumerate((before, parent)):
        provenance: dict[str, Any] = {} if labels is None else {"annotations": labels}
        data = bank_file(created_at=f"2026-05-04T12:00:0{number}.000+00:00", provenance=provenance)
        files.append((bank_version(data), data))
        if number or not lost:
            store.put(bank_path(VIEW, bank_version(data)), data)
    order = BuildOrder(
        view=VIEW,
        store_url=str(folder),
        frames=(),
        frame_names=(),
        annotations=tuple(
            AnnotationOrder.model_validate(
                {"id": name, "label": label, "origin": "group", "box_xyxy": None, "frames": ()}
            )
            for name, label in now.items()
        ),
        graph="graph.onnx",
        network=NetworkRun(),
        threads=1,
        niceness=0,
        settings=BuildSettings(),
        created_at="2026-05-04T12:00:05.000+00:00",
        provenance={},
        parent=files[1][0],
        gate=GateOrder(
            parent_threshold=3.0, previous=files[0][0], previous_threshold=2.0, reference=None, quarantine_frames=4
        ),
        max_pixels=10_000,
        result="bank",
    )
    active = prior_banks(store, order, bank_from_bytes(files[1][1])).active
    assert active is not None
    assert active.version == {3.0: files[1][0], 2.0: files[0][0]}[active.threshold]
    return active.threshold


@pytest.mark.parametrize(
    ("parent", "before", "now"),
    [
        (OPEN, OPEN, OPEN),
        (GOOD, OPEN, GOOD),
        (OPEN, OPEN, GOOD),
        (None, OPEN, OPEN),
        ({"g1": "defect"}, OPEN, {}),
        (GOOD, GOOD, OPEN),
    ],
)
def test_the_bank_in_force_says_what_is_new_while_its_words_stand(
    tmp_path: Path, parent: Labels, before: Labels, now: dict[str, str]
) -> None:
    """Or where the one before followed the same word."""
    assert active_threshold(tmp_path, parent=parent, before=before, now=now) == 3.0


@pytest.mark.parametrize("now", [OPEN, {}, {"g1": "defect"}])
def test_where_a_word_was_taken_back_the_bank_before_says_what_is_new(tmp_path: Path, now: dict[str, str]) -> None:
    """A marked part was called a false reject, and the word undone: the bank that had it saw nothing new in it.

    So it was learnt, and later parts with it passed. Where the bank before is lost, the one in force has to do.
    """
    assert active_threshold(tmp_path, parent=GOOD, before={}, now=now) == 2.0
    assert active_threshold(tmp_path / "lost", parent=GOOD, before={}, now=now, lost=True) == 3.0
