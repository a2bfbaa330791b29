"""Banks by role and version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from deploy.errors import UsageError
from deploy.history.banks import StoredBank, bank_summary, find_bank, find_view, newest_first, role_of, stored_banks
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_version
from tests.trainer.bank_files import bank_file
from tests.trainer.views import VIEW

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = ("a" * 64, "b" * 64, "ab" * 32)


def state(view: str = "l/c") -> BankState:
    """A view with an active and a previous bank."""
    banks = [BankInForce(version=v, uri=v, graph_hash="c" * 64, threshold=1.0) for v in (A, B)]
    return BankState(
        view=view,
        epoch=2,
        state=ViewState.ACTIVE,
        active=banks[0],
        previous=banks[1],
        pinned=A,
        by="t",
        why="t",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_bank_has_every_role_it_plays() -> None:
    """The bank in force may be the pinned one as well."""
    assert role_of(state(), A) == "active, pinned"
    assert role_of(state(), B) == "previous"
    assert role_of(state(), C) == ""
    assert role_of(None, A) == ""


def test_banks_are_found_by_the_start_of_their_version() -> None:
    """As far as it says which."""
    banks = [StoredBank("l/c", version, "") for version in (A, B, C)]
    assert find_bank(banks, "b").version == B
    assert find_bank(banks, "ab").version == C
    with pytest.raises(UsageError, match="2 bank versions start with a; write more of it"):
        find_bank(banks, "a")
    with pytest.raises(UsageError, match="no bank version starts with f"):
        find_bank(banks, "f")


def test_a_view_without_a_state_is_named_with_the_nearest_that_has_one() -> None:
    """No trainer would ever answer for it."""
    assert find_view({"l/c", "m/d"}, "l/c") == "l/c"
    with pytest.raises(UsageError, match=r"^line-1/cam has no bank; did you mean line-1/camera\? patchline bank list"):
        find_view({"line-1/camera", "m/d"}, "line-1/cam")
    with pytest.raises(UsageError, match=r"^l/c has no bank, nor has any other view yet"):
        find_view({}, "l/c")


def test_banks_are_listed_newest_first_with_the_threshold_in_force(tmp_path: Path) -> None:
    """Which is not always the one that the file suggests; a file that cannot be read is listed, too."""
    store = FsspecStore.open(str(tmp_path))
    files = [bank_file(created_at=f"2026-05-0{day}T12:00:00.000+00:00") for day in (4, 6, 5)]
    versions = [bank_version(each) for each in files]
    for version, data in zip([*versions, A], [*files, b"what is this"], strict=True):
        store.put(bank_path(VIEW, version), data)
    known = state(VIEW)
    active = BankInForce(version=versions[1], uri="x", graph_hash="c" * 64, threshold=7.0)
    known = known.model_copy(update={"active": active, "previous": None})
    looked = newest_first([bank_summary(store, each) for each in stored_banks(store, {VIEW: known}, view=None)])
    assert [each.bank.version for each in looked] == [versions[1], versions[2], versions[0], A]
    assert [each.threshold_in(known) for each in looked] == [7.0, 2.0, 2.0, None]
    assert looked[0].to_json(known)["created_at"] == "2026-05-06T12:00:00+00:00"


@pytest.mark.parametrize(
    ("created_at", "built"),
    [
        ("2026-05-04T12:00:00", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04", datetime(2026, 5, 4, tzinfo=UTC)),
        ("today", None),
    ],
)
def test_a_bank_with_another_date_is_listed_with_its_threshold(
    tmp_path: Path, created_at: str, built: datetime | None
) -> None:
    """Without a zone it is UTC, and sorts among the others; in words it is no date, and the bank is no worse for it."""
    store = FsspecStore.open(str(tmp_path))
    for data in (bank_file(), bank_file(created_at=created_at, threshold=3.0)):
        store.put(bank_path(VIEW, bank_version(data)), data)
    looked = newest_first([bank_summary(store, each) for each in stored_banks(store, {}, view=None)])
    assert (built, 3.0) in [(each.created_at, each.threshold_in(None)) for each in looked]
    assert looked[-1].created_at == built


def test_stored_banks_are_listed_by_view(tmp_path_factory: pytest.TempPathFactory) -> None:
    """View names come back from their folders; other files are no banks."""
    store = FsspecStore.open(str(tmp_path_factory.mktemp("store")))
    for path in (f"banks/l%2Fc/{A}.safetensors", f"banks/m%2Fd/{C}.safetensors", "banks/l%2Fc/readme.txt"):
        store.put(path, b"x")
    found = stored_banks(store, {"l/c": state()}, view=None)
    assert [(each.view, each.version, each.role) for each in found] == [("l/c", A, "active, pinned"), ("m/d", C, "")]
    assert [each.path for each in stored_banks(store, {}, view="m/d")] == [f"banks/m%2Fd/{C}.safetensors"]
