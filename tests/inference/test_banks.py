"""Which banks come into force, which are refused, and what serves meanwhile: on the real graph and a store on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from inference.bank_notices import BankNotices, BankNotPutInForce, BankPutInForce
from inference.banks import ActiveBanks, BankLoader, BankStatus, Serving
from inference.decide import InForce, Limits, NoBank
from ingest.bank_signature import BankSigner, BankVerifier
from ingest.bank_state import BankState, ViewState
from ingest.decision import Reason
from ingest.kafka.records import Record
from ingest.store_layout import signature_path
from softpatch.bank import bank_to_bytes
from softpatch.scoring.search import FlatSearch
from tests.inference.sample_bank import VIEW, sample_bank, state, state_record, stored
from tests.ingest.bank_keys import key_files

if TYPE_CHECKING:
    from pathlib import Path

    from inference.bank_notices import BankNotice
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder

REFUSED = NoBank(Reason.BANK_REFUSED)
LEARNING = NoBank(Reason.LEARNING)


class Watched:
    """Active banks, with the notices they gave."""

    def __init__(self, store: FsspecStore, embedder: OnnxEmbedder, verifier: BankVerifier | None = None) -> None:
        self._queue = BankNotices()
        self._notices: list[BankNotice] = []
        loader = BankLoader(store, embedder, lambda vectors: FlatSearch(vectors, threads=1), verifier)
        self.banks = ActiveBanks(loader, self._queue)

    @property
    def notices(self) -> list[BankNotice]:
        """All of them, in order."""
        self._notices += self._queue.drain()
        return self._notices

    def after(self, *states: BankState) -> BankStatus:
        """How the view stands after these states."""
        self.banks.take([state_record(each) for each in states])
        return self.banks.status(VIEW)

    def counted(self) -> tuple[int, int]:
        """Swaps and refusals so far."""
        swaps = [each for each in self.notices if isinstance(each, BankPutInForce) and each.swapped]
        return len(swaps), self.notices.count(BankNotPutInForce(VIEW))


@pytest.fixture
def watched(store: FsspecStore, embedder: OnnxEmbedder) -> Watched:
    """Active banks over an empty store."""
    return Watched(store, embedder)


@pytest.fixture(scope="session")
def second(embedder: OnnxEmbedder) -> Bank:
    """Another bank of the same view."""
    return sample_bank(embedder, seed=1)


def version_of(status: BankStatus) -> str:
    """The version that serves; fails where none does."""
    assert isinstance(status, Serving)
    return status.in_force.version


def test_a_view_nobody_spoke_of_is_learning(watched: Watched) -> None:
    """No state, no bank."""
    assert watched.banks.status("line/other") == LEARNING
    assert watched.after(state(None)) == LEARNING


def test_a_bank_is_put_in_force_after_its_probes_agree(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """With the limits of the state, and announced once."""
    active = stored(store, bank).in_force
    status = watched.after(state(active, epoch=4))
    assert isinstance(status, Serving)
    limits = Limits(active.threshold, active.threshold, active.threshold)
    assert status.in_force == InForce(active.version, 4, limits, provisional=False)
    assert watched.notices == [BankPutInForce(VIEW, status.in_force, swapped=True)]
    assert watched.counted() == (1, 0)


def test_only_the_last_state_of_a_view_is_loaded(
    watched: Watched, store: FsspecStore, bank: Bank, second: Bank
) -> None:
    """A reader that starts late does not prove every bank there ever was."""
    first, last = stored(store, bank).in_force, stored(store, second).in_force
    assert version_of(watched.after(state(first, epoch=1), state(last, epoch=2))) == last.version
    assert watched.counted() == (1, 0)


def test_a_changed_threshold_swaps_the_limits_and_not_the_bank(
    watched: Watched, store: FsspecStore, bank: Bank
) -> None:
    """The scorer stays the same object: nothing is loaded or proven again."""
    active = stored(store, bank).in_force
    before = watched.after(state(active, epoch=1))
    changed = active.model_copy(update={"threshold": 30.0, "low_limit": 25.0, "high_limit": 40.0})
    after = watched.after(
        state(active).model_copy(update={"epoch": 2, "active": changed, "state": ViewState.PROVISIONAL})
    )
    assert isinstance(before, Serving)
    assert isinstance(after, Serving)
    assert after.scorer is before.scorer
    assert after.in_force == InForce(active.version, 2, Limits(30.0, 25.0, 40.0), provisional=True)
    assert watched.notices[1:] == [BankPutInForce(VIEW, after.in_force, swapped=False)]
    assert watched.counted() == (1, 0)


def test_a_bank_whose_probes_disagree_is_refused_and_the_one_before_goes_on(
    watched: Watched, store: FsspecStore, bank: Bank, second: Bank
) -> None:
    """With the epoch and threshold it had."""
    good = stored(store, bank).in_force
    before = watched.after(state(good, epoch=1))
    lying = replace(second, probe_scores=second.probe_scores * np.float32(1.01))
    after = watched.after(state(stored(store, lying).in_force, epoch=2))
    assert after == before
    assert watched.counted() == (1, 1)


def test_without_a_bank_before_a_refused_one_leaves_frames_undecided(
    watched: Watched, store: FsspecStore, bank: Bank
) -> None:
    """`bank_refused`, not `learning`: someone has to look."""
    lying = replace(bank, probe_scores=bank.probe_scores * np.float32(1.01))
    assert watched.after(state(stored(store, lying).in_force)) == REFUSED


def test_after_a_restart_the_previous_bank_serves_in_place_of_a_refused_one(
    watched: Watched, store: FsspecStore, bank: Bank, second: Bank
) -> None:
    """A process that just started decides like one that was running when the bank was refused."""
    previous = stored(store, bank).in_force
    lying = replace(second, probe_scores=second.probe_scores * np.float32(1.01))
    status = watched.after(state(stored(store, lying).in_force, epoch=2, previous=previous))
    assert version_of(status) == previous.version
    assert watched.counted() == (1, 1)


def broken(how: str, bank: Bank) -> bytes:
    """The file of a bank, damaged."""
    data = bank_to_bytes(bank)
    if how == "truncated":
        return data[: len(data) // 2]
    if how == "empty":
        return b""
    if how == "other view":
        return bank_to_bytes(replace(bank, manifest=bank.manifest.model_copy(update={"view": "line/else"})))
    return bank_to_bytes(replace(bank, manifest=bank.manifest.model_copy(update={"graph_hash": "f" * 64})))


@pytest.mark.parametrize("how", ["truncated", "empty", "other view", "other graph"])
def test_a_file_that_is_not_this_views_bank_is_refused(
    watched: Watched, store: FsspecStore, bank: Bank, how: str
) -> None:
    """Whatever its hash says."""
    assert watched.after(state(stored(store, bank, broken(how, bank)).in_force)) == REFUSED
    assert watched.counted() == (0, 1)


def test_a_flipped_bit_is_found_by_the_hash(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """Also where the file is still a valid bank."""
    active = stored(store, bank).in_force
    data = bytearray(store.get(active.uri))
    data[-100] ^= 1
    store.put(active.uri, bytes(data))
    assert watched.after(state(active)) == REFUSED


def test_a_bank_of_another_graph_is_refused_unread(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """One graph per process: the state alone tells."""
    active = stored(store, bank).in_force.model_copy(update={"graph_hash": "f" * 64, "uri": "banks/nowhere"})
    assert watched.after(state(active)) == REFUSED
    assert watched.banks.unfetched == frozenset()


def test_a_bank_the_store_does_not_give_is_asked_for_again(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """Undecided until it comes; not counted as refused."""
    active = stored(store, bank).in_force
    data = store.get(active.uri)
    store.delete(active.uri)
    assert watched.after(state(active)) == REFUSED
    assert watched.banks.unfetched == {VIEW}
    watched.banks.retry()
    store.put(active.uri, data)
    watched.banks.retry()
    assert version_of(watched.banks.status(VIEW)) == active.version
    assert watched.banks.unfetched == frozenset()
    assert watched.counted() == (1, 0)


def test_relearning_and_a_deleted_view_end_the_bank(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """A state without an active bank, or a tombstone: the view learns."""
    active = stored(store, bank).in_force
    assert version_of(watched.after(state(active))) == active.version
    assert watched.after(state(None, epoch=2)) == LEARNING
    assert version_of(watched.after(state(active, epoch=3))) == active.version
    watched.banks.take([Record("banks", 0, 9, 0, "create_time", VIEW.encode(), None)])
    assert watched.banks.status(VIEW) == LEARNING


def test_a_deleted_view_asks_for_no_bank_any_more(watched: Watched, store: FsspecStore, bank: Bank) -> None:
    """Its bank comes into the store late: it was waited for, and would come into force after its view was deleted."""
    active = stored(store, bank).in_force
    data = store.get(active.uri)
    store.delete(active.uri)
    watched.after(state(active))
    watched.banks.take([Record("banks", 0, 9, 0, "create_time", VIEW.encode(), None)])
    store.put(active.uri, data)
    watched.banks.retry()
    assert watched.banks.status(VIEW) == LEARNING
    assert watched.banks.unfetched == frozenset()


def test_a_state_that_cannot_be_read_changes_nothing_but_is_counted(
    watched: Watched, store: FsspecStore, bank: Bank
) -> None:
    """A newer release wrote it, or nobody of ours."""
    before = watched.after(state(stored(store, bank).in_force))
    for value in (b'{"patchline_schema": 2}', b"garbage"):
        watched.banks.take([Record("banks", 0, 9, 0, "create_time", VIEW.encode(), value)])
    assert watched.banks.status(VIEW) == before
    assert watched.counted() == (1, 2)


def test_at_the_start_an_unreadable_state_does_not_hide_the_one_before_it(
    watched: Watched, store: FsspecStore, bank: Bank
) -> None:
    """Both are read at once then; the view was called `bank_refused` until a state came that could be read."""
    active = stored(store, bank).in_force
    unreadable = Record("banks", 0, 9, 0, "create_time", VIEW.encode(), b"garbage")
    watched.banks.take([state_record(state(active)), unreadable])
    assert version_of(watched.banks.status(VIEW)) == active.version
    assert watched.counted() == (1, 1)


def test_where_keys_are_given_only_a_signed_bank_comes_into_force(
    store: FsspecStore, embedder: OnnxEmbedder, bank: Bank, second: Bank, tmp_path: Path
) -> None:
    """Not one without a signature, by another key, or with that of another bank; the one before goes on."""
    ours, others = key_files(tmp_path, "ours"), key_files(tmp_path, "others")
    watched = Watched(store, embedder, BankVerifier.open([ours.public]))
    first, other = stored(store, bank).in_force, stored(store, second).in_force
    assert watched.after(state(first, epoch=1)) == REFUSED
    signer = BankSigner.open(ours.private)
    store.put(signature_path(first.uri), signer.signature(first.version))
    assert version_of(watched.after(state(first, epoch=2))) == first.version
    for epoch, signature in ((3, BankSigner.open(others.private).signature(other.version)), (4, signer.signature("0"))):
        store.put(signature_path(other.uri), signature)
        assert version_of(watched.after(state(other, epoch=epoch))) == first.version
    assert watched.counted() == (1, 3)
