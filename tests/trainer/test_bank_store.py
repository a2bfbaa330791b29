"""Bank files on the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from ingest.bank_signature import BankSigner, BankVerifier
from ingest.bank_state import BankState, ViewState
from ingest.store import FsspecStore
from ingest.store_layout import bank_path, signature_path
from softpatch.bank import InvalidBank, bank_from_bytes, bank_version
from softpatch.calibration.threshold import suggest
from softpatch.images.input_faults import InputBaseline
from tests.ingest.bank_keys import key_files
from tests.trainer.bank_files import bank_file
from tests.trainer.views import AT, GRAPH, VIEW, state
from trainer.bank_store import BankStore
from trainer.transition import NotPossible

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    """An empty store."""
    return FsspecStore.open(str(tmp_path))


def test_a_bank_is_put_under_its_version_and_found_again(store: FsspecStore) -> None:
    """With the threshold and the interval it suggests, and its figures."""
    bank_store, data = BankStore(store, graph_hash=GRAPH, keep=5), bank_file()
    built = bank_store.put(data, false_reject_ratio=0.02)
    version = bank_version(data)
    assert built.bank.uri == f"banks/line-1%2Fcamera-1/{version}.safetensors"
    assert store.get(built.bank.uri) == data
    assert (built.bank.version, built.bank.threshold, built.threshold.interval_low, built.threshold.interval_high) == (
        version,
        2.0,
        1.5,
        3.0,
    )
    assert built.facts == {
        "patches": 4,
        "frames": 60,
        "skipped_frames": 1,
        "kept_ratio": 0.85,
        "noise_estimate": 0.1,
        "groups": 0,
        "input": "32x32 toy",
        "golden_right": 0,
        "golden_wrong": 0,
        "false_reject_ratio": 0.02,
        "threshold": 2.0,
        "threshold_low": 1.5,
        "threshold_high": 3.0,
    }
    assert bank_store.bank(VIEW, version) == built.bank


def test_an_invalid_bank_is_not_put(store: FsspecStore) -> None:
    """A build that wrote half a file has failed."""
    with pytest.raises(InvalidBank):
        BankStore(store, graph_hash=GRAPH, keep=5).put(bank_file()[:-1], false_reject_ratio=0.02)
    assert store.paths() == []


def test_a_bank_that_cannot_come_into_force_is_refused_with_the_reason(store: FsspecStore) -> None:
    """Missing, damaged, or of another backbone than the one that runs."""
    bank_store = BankStore(store, graph_hash=GRAPH, keep=5)
    with pytest.raises(NotPossible, match=r"^the store has no bank eeeeeeeeeeee of this view"):
        bank_store.bank(VIEW, "e" * 64)
    store.put(bank_path(VIEW, "d" * 64), b"what is this")
    with pytest.raises(NotPossible, match=r"^bank dddddddddddd cannot be used: "):
        bank_store.bank(VIEW, "d" * 64)
    foreign = bank_store.put(bank_file(graph_hash="1" * 64), false_reject_ratio=0.02).bank
    with pytest.raises(NotPossible, match=r"was built with backbone toy, another one runs here$"):
        bank_store.bank(VIEW, foreign.version)


def test_another_ratio_gives_the_threshold_of_the_banks_own_calibration(store: FsspecStore) -> None:
    """By the rule that suggested the first one; more rejects, a lower threshold."""
    bank_store, data = BankStore(store, graph_hash=GRAPH, keep=5), bank_file()
    version = bank_store.put(data, false_reject_ratio=0.02).bank.version
    scores = bank_from_bytes(data).calibration_scores
    found = {ratio: bank_store.threshold(VIEW, version, ratio) for ratio in (0.01, 0.05)}
    assert found[0.01] == suggest(scores, false_reject_ratio=0.01, seed=0).threshold.value
    assert found[0.05] < found[0.01] < float(np.max(scores)) * 1.5


def test_what_a_view_usually_looks_like_comes_from_its_bank_in_force(store: FsspecStore) -> None:
    """Where its probes are no pictures, or no bank is in force, what holds for all views does."""
    bank_store = BankStore(store, graph_hash=GRAPH, keep=5)
    ok, black = cv2.imencode(".png", np.full((40, 40, 3), 90, np.uint8))
    assert ok
    pictured = bank_store.put(bank_file(probe=black.tobytes()), false_reject_ratio=0.02).bank
    plain = bank_store.put(bank_file(), false_reject_ratio=0.02).bank
    assert bank_store.input_baseline(state(active=pictured)) == InputBaseline(
        dark_ratio=0.0, saturated_ratio=0.0, contrast=0.0, bit_depth=16
    )
    assert bank_store.input_baseline(state(active=plain)) == InputBaseline()
    assert bank_store.input_baseline(state(ViewState.LEARNING)) == InputBaseline()


def test_a_bank_is_read_once_for_its_input_baseline_and_forgotten_with_the_next(
    store: FsspecStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used with every frame; a trainer that runs for a year sees thousands of banks."""
    bank_store, reads = BankStore(store, graph_hash=GRAPH, keep=5), list[str]()
    moments = [f"2026-05-04T12:00:0{second}.000+00:00" for second in range(3)]
    banks = [bank_store.put(bank_file(created_at=moment), false_reject_ratio=0.02).bank for moment in moments]
    get = store.get

    def counted(_: FsspecStore, path: str) -> bytes:
        reads.append(path)
        return get(path)

    monkeypatch.setattr(FsspecStore, "get", counted)
    for bank in banks:
        for _ in range(4):
            bank_store.input_baseline(state(active=bank))
    assert reads == [bank.uri for bank in banks]
    assert len(bank_store._baselines) == 1


def test_old_banks_go_and_named_ones_stay(store: FsspecStore) -> None:
    """Of ten banks the state names the two oldest; with two others, the newest, four are kept; other views' files too.

    A state names up to six banks, at first one: were they kept beside a number of others, a store would grow for weeks.
    """
    bank_store = BankStore(store, graph_hash=GRAPH, keep=4)
    banks = [
        bank_store.put(bank_file(created_at=f"2026-05-04T12:00:{second:02d}.000+00:00"), false_reject_ratio=0.02).bank
        for second in range(10)
    ]
    store.put("banks/other/x.safetensors", b"theirs")
    state = BankState(
        view=VIEW,
        epoch=1,
        state=ViewState.ACTIVE,
        active=banks[0],
        pinned=banks[1].version,
        by="ana",
        why="old and good",
        at=AT,
    )
    assert bank_store.tidy(state) == 6
    kept = {banks[number].uri for number in (0, 1, 8, 9)}
    assert set(store.paths("banks")) == kept | {"banks/other/x.safetensors"}
    assert bank_store.tidy(state) == 0
    assert BankStore(store, graph_hash=GRAPH, keep=1).tidy(state) == 2
    assert set(store.paths("banks")) == {banks[0].uri, banks[1].uri, "banks/other/x.safetensors"}


def test_a_bank_is_signed_before_anybody_hears_of_it_and_its_signature_goes_with_it(
    store: FsspecStore, tmp_path: Path
) -> None:
    """By the key of the trainer."""
    keys = key_files(tmp_path)
    bank_store = BankStore(store, graph_hash=GRAPH, keep=0, signer=BankSigner.open(keys.private))
    built = bank_store.put(bank_file(), false_reject_ratio=0.02).bank
    signature = store.get(signature_path(built.uri))
    BankVerifier.open([keys.public]).check(built.version, signature)
    assert bank_store.tidy(state()) == 1
    assert not store.exists(signature_path(built.uri))
