"""The banks that a new one is held against: which one says what is new in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_from_bytes, bank_version
from softpatch.settings import BuildSettings
from tests.trainer.bank_files import FRAMES, bank_file
from tests.trainer.views import VIEW
from trainer.build_order import AnnotationOrder, BuildOrder, GateOrder, NetworkRun
from trainer.prior_banks import HELD_AGAINST, prior_banks, provenance_of

if TYPE_CHECKING:
    from pathlib import Path

Labels = dict[str, str] | None

OPEN, GOOD = {"g1": "open"}, {"g1": "good"}
LONG_AGO, BEFORE, PARENT = 1.0, 2.0, 3.0
"""Thresholds by which the banks are told apart: what the parent was held against, the one before it, and the parent."""


def stored(store: FsspecStore, labels: Labels, **more: Any) -> str:  # noqa: ANN401 -- as provenance takes them
    """The version of a bank that was built when these annotations had these labels; None: it does not say."""
    data = bank_file(provenance={**more, **({} if labels is None else {"annotations": labels})})
    store.put(bank_path(VIEW, bank_version(data)), data)
    return bank_version(data)


def held_against(
    folder: Path, *, parent: Labels = None, before: Labels = None, now: Labels = None, known: int = 0, lost: int = 0
) -> float:
    """The threshold of the bank that a new one is held against; of its window's ten frames the parent had `known`.

    `lost`: 1 where the store has lost what the parent was held against, 2 where it has lost the bank before, too.
    """
    store = FsspecStore.open(str(folder))
    versions = {LONG_AGO: stored(store, {}, number=0), BEFORE: stored(store, before, number=1)}
    versions[PARENT] = stored(store, parent, **{HELD_AGAINST: [versions[LONG_AGO], LONG_AGO]})
    for threshold in (LONG_AGO, BEFORE)[:lost]:
        store.delete(bank_path(VIEW, versions[threshold]))
    order = BuildOrder(
        view=VIEW,
        store_url=str(folder),
        frames=(),
        frame_names=tuple(f"f{FRAMES - known + number}" for number in range(10)),
        annotations=tuple(
            AnnotationOrder.model_validate(
                {"id": name, "label": label, "origin": "group", "box_xyxy": None, "frames": ()}
            )
            for name, label in (now or {}).items()
        ),
        graph="graph.onnx",
        network=NetworkRun(),
        threads=1,
        niceness=0,
        settings=BuildSettings(),
        created_at="2026-05-04T12:00:05.000+00:00",
        provenance={"who": "ana"},
        parent=versions[PARENT],
        gate=GateOrder(
            parent_threshold=PARENT,
            previous=versions[BEFORE],
            previous_threshold=BEFORE,
            reference=None,
            quarantine_frames=4,
        ),
        max_pixels=10_000,
        result="bank",
    )
    banks = prior_banks(store, order, bank_from_bytes(store.get(bank_path(VIEW, versions[PARENT]))))
    assert banks.active is not None
    threshold = banks.active.threshold
    assert banks.active.version == versions[threshold]
    assert provenance_of(order, banks) == {"who": "ana", HELD_AGAINST: [versions[threshold], threshold]}
    return threshold


@pytest.mark.parametrize(
    ("parent", "now"),
    [(OPEN, OPEN), (GOOD, GOOD), (OPEN, GOOD), (None, OPEN), ({"g1": "defect"}, {})],
)
def test_the_bank_in_force_says_what_is_new_while_its_words_stand(tmp_path: Path, parent: Labels, now: Labels) -> None:
    """Whatever was said since."""
    assert held_against(tmp_path, parent=parent, now=now) == PARENT


@pytest.mark.parametrize("now", [OPEN, {}, {"g1": "defect"}])
def test_where_a_word_was_taken_back_the_bank_that_followed_it_says_nothing(tmp_path: Path, now: Labels) -> None:
    """A marked part was called a false reject, and the word undone: the bank that had it saw nothing new in it.

    So it was learnt, and later parts with it passed. Where no other bank is left the one in force has to do, and where
    the one before followed the word, too.
    """
    for lost, threshold in enumerate((LONG_AGO, BEFORE, PARENT)):
        assert held_against(tmp_path / str(lost), parent=GOOD, now=now, lost=lost) == threshold
    assert held_against(tmp_path / "both", parent=GOOD, before=GOOD, now=now, lost=1) == PARENT


def test_a_bank_of_the_same_frames_says_nothing_of_them(tmp_path: Path) -> None:
    """It has learnt what was not kept out of it. Three builds of one window, for two words, learnt a mark step by step.

    Half of a window is the same from night to night: that is no reason.
    """
    assert held_against(tmp_path / "eight", known=8) == PARENT
    assert held_against(tmp_path / "nine", known=9) == LONG_AGO
    assert held_against(tmp_path / "lost", known=10, lost=1) == BEFORE
