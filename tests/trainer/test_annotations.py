"""Annotations as a bounded list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.annotation import Label
from tests.trainer.annotated import group
from tests.trainer.views import AT
from trainer.annotations import MOST_ANNOTATIONS, added
from trainer.transition import NotPossible

NEW = group("new")
SEEN = tuple(group(f"seen{number}") for number in range(MOST_ANNOTATIONS - 3))
OPEN = group("open", frames=0, at=AT - timedelta(days=9))
OLD = group("old", Label.GOOD, frames=0, at=AT - timedelta(days=2))
OLDER = group("older", Label.DEFECT, frames=0, at=AT - timedelta(days=3))


def test_the_oldest_answer_that_no_frame_shows_makes_room() -> None:
    """Then the other one, then an open group that no frame shows; a group that frames show never goes."""
    annotations, gone = (*SEEN, OPEN, OLD, OLDER), []
    for _ in range(3):
        after = added(annotations, NEW)
        assert (len(after.annotations), after.annotations[-1]) == (MOST_ANNOTATIONS, NEW)
        gone.append(after.dropped)
        annotations = after.annotations
    assert gone == [OLDER, OLD, OPEN]
    with pytest.raises(NotPossible, match=r"^the view has 100 annotations, and all are in use"):
        added(annotations, NEW)


def test_below_the_bound_nothing_goes() -> None:
    """Also what no frame shows."""
    after = added((*SEEN, OPEN, OLD), NEW)
    assert (after.annotations, after.dropped) == ((*SEEN, OPEN, OLD, NEW), None)
