"""What the trainer says of itself on /readyz."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.transactions import State
from ingest.store import FsspecStore, StoreError
from trainer.wiring import StartProgress

if TYPE_CHECKING:
    from pathlib import Path


def test_a_trainer_whose_store_takes_no_file_is_not_ready_until_it_does(tmp_path: Path) -> None:
    """It reads on, and learns nothing: a full disk, say."""
    store = FsspecStore.open(str(tmp_path / "store"))
    loop = SimpleNamespace(state=State.OWNING, claims={}, taken_over=None)
    progress = StartProgress(loop=loop, store=store)  # type: ignore[arg-type]  # what of a loop is asked for
    store.put("banks", b"a file where a folder should be")
    assert progress.readiness().ready
    with pytest.raises(StoreError):
        store.put("banks/a", b"1")
    said = progress.readiness()
    assert not said.ready
    assert said.sentence == f"Not ready: nothing is learnt: {store.write_fault}."
    store.put("windows/a", b"1")
    assert progress.readiness().ready
