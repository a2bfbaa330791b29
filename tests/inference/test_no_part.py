"""A frame without a part: an answer of its own, neither pass nor fail, by frames of the bank that show none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from inference.banks import Serving
from inference.decide import Limits
from ingest.decision import Reason, Verdict
from softpatch.images.decode import decode
from softpatch.scoring.no_part import distance_to
from softpatch.scoring.search import FlatSearch
from tests.inference.sample_bank import AT, VIEW, encoded, jpeg, record, state, state_record, stored
from tests.inference.test_inspector import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder


def belt(seed: int) -> np.ndarray:
    """A gray belt with dark bars and no part on it: uint8 RGB."""
    image = np.full((96, 96, 3), 110, np.uint8)
    image[:, ::24] = 60
    return np.clip(image + np.random.default_rng(seed).normal(0, 3, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def belt_bank(bank: Bank, embedder: OnnxEmbedder) -> Bank:
    """The bank of good plates, which has been shown three frames of the belt."""
    geometry, blur_cells = bank.manifest.geometry, bank.scoring.blur_cells
    embeddings = embedder.embed(np.stack([geometry.apply(decode(encoded(belt(seed)))) for seed in range(6)]))
    vectors = embeddings[:3].reshape(-1, embeddings.shape[-1])
    limit = 1.2 * max(distance_to(FlatSearch(vectors), each, blur_cells=blur_cells) for each in embeddings[3:])
    manifest = bank.manifest.model_copy(update={"no_part_limit": limit})
    return replace(bank, manifest=manifest, no_part_vectors=vectors)


@pytest.fixture
def bench(store: FsspecStore, embedder: OnnxEmbedder) -> Iterator[Bench]:
    """An inspector whose views are all learning."""
    opened = Bench(store, embedder)
    yield opened
    opened.close()


def test_an_empty_belt_is_undecided_and_parts_are_decided_as_ever(bench: Bench, belt_bank: Bank) -> None:
    """The score of the belt is kept; a defective part is no belt."""
    bench.put_in_force(belt_bank)
    empty, good, bad = bench.decisions(
        record(0, encoded(belt(20))), record(1, jpeg(1)), record(2, jpeg(2, defect=True))
    )
    assert (empty.verdict, empty.reason) == (Verdict.UNDECIDED, Reason.NO_PART)
    assert empty.score is not None
    assert empty.threshold is not None
    assert empty.score > empty.threshold
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_a_bank_that_was_shown_no_belt_fails_it(bench: Bench, bank: Bank) -> None:
    """Nobody has said what such a frame is."""
    bench.put_in_force(bank)
    (empty,) = bench.decisions(record(0, encoded(belt(20))))
    assert empty.verdict is Verdict.FAIL


def test_an_empty_belt_that_comes_late_is_late(bench: Bench, belt_bank: Bank) -> None:
    """The deadline comes first."""
    bench.put_in_force(belt_bank)
    bench.now = AT + timedelta(seconds=6)
    (empty,) = bench.decisions(record(0, encoded(belt(20))))
    assert empty.reason is Reason.DEADLINE


def test_an_hour_of_empty_belt_is_no_changed_line(bench: Bench, belt_bank: Bank) -> None:
    """40 frames of it, and a defective part after them: the part fails."""
    bench.put_in_force(belt_bank)
    empty = [record(offset, encoded(belt(100 + offset))) for offset in range(40)]
    assert {each.reason for each in bench.decisions(*empty)} == {Reason.NO_PART}
    (bad,) = bench.decisions(record(40, jpeg(2, defect=True)))
    assert bad.verdict is Verdict.FAIL


class CountingCheck:
    """A check that says what it was told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def shows_no_part(self, embedding: np.ndarray) -> bool:
        """True."""
        self.asked += embedding.ndim == 3
        return True


def test_only_frames_that_do_not_pass_are_asked(bench: Bench, bank: Bank) -> None:
    """The second search is for a fail and a score near the threshold; a pass stays a pass."""
    bench.put_in_force(bank)
    serving = bench.banks.status(VIEW)
    assert isinstance(serving, Serving)
    check = CountingCheck()
    limits = serving.in_force.limits
    banded = replace(serving.in_force, limits=replace(limits, low=0.9 * limits.threshold))
    asked = replace(serving, no_part=check, in_force=banded)  # type: ignore[arg-type]  # structurally one
    embedding = np.zeros((4, 4, bank.manifest.dimension), np.float32)
    scores = [0.5 * limits.threshold, 0.9 * limits.threshold, 0.95 * limits.threshold, 1.5 * limits.threshold]
    assert [asked.shows_no_part(score, embedding) for score in scores] == [False, False, True, True]
    assert check.asked == 2


def test_the_check_follows_the_limits_in_force(bench: Bench, belt_bank: Bank, store: FsspecStore) -> None:
    """A threshold above the belt's score makes it pass, as it says; nothing is loaded again."""
    active = stored(store, belt_bank).in_force
    bench.banks.take([state_record(state(active))])
    raised = active.model_copy(update={"threshold": 1000.0})
    bench.banks.take([state_record(state(raised, epoch=2))])
    serving = bench.banks.status(VIEW)
    assert isinstance(serving, Serving)
    assert serving.in_force.limits == Limits(threshold=1000.0, low=1000.0, high=1000.0)
    (empty,) = bench.decisions(record(0, encoded(belt(20))))
    assert empty.verdict is Verdict.PASS
