"""`patchline bank diff` and `gc` on real banks in a store, and the picture of two banks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.bank_state import BankInForce
from ingest.store_layout import bank_path, banks_among
from softpatch.bank import bank_to_bytes, bank_version
from softpatch.images.decode import decode
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.deploy.annotations import VIEW, view_state
from tests.inference.sample_bank import jpeg, sample_bank
from tests.trainer.bank_files import bank_file

if TYPE_CHECKING:
    from ingest.bank_state import BankState
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture
def state(cluster: CommandCluster) -> BankState:
    """A view with two banks that differ in their threshold alone: the one in force lets nearly all pass."""
    bank = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1), view=VIEW)
    named = []
    for factor in (10.0, 1.0):
        threshold = bank.manifest.threshold.model_copy(update={"value": bank.manifest.threshold.value * factor})
        data = bank_to_bytes(
            replace(bank, manifest=bank.manifest.model_copy(update={"threshold": threshold, "created_at": f"{factor}"}))
        )
        path = bank_path(VIEW, bank_version(data))
        cluster.store.put(path, data)
        named.append(
            BankInForce(
                version=bank_version(data),
                uri=path,
                graph_hash=bank.manifest.graph_hash,
                threshold=threshold.value,
            )
        )
    state = view_state(active=named[0], previous=named[1])
    cluster.publish(state)
    return state


def test_frames_that_two_banks_decide_otherwise_are_named_and_drawn(
    run: Run, cluster: CommandCluster, state: BankState, tmp_path: Path
) -> None:
    """Of four pictures two are scratched: the bank in force passes them, the one before it fails them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(number, defect=number % 2 == 0))
    arguments = ("--images", str(folder), "--out", "diff.png", "--json", "diff.json")
    ended = run("bank", "diff", "previous", "active", *arguments, *cluster.arguments)
    assert ended.code == 0, ended.err
    found = json.loads(Path("diff.json").read_text())
    assert (found["frames"], found["fails"], found["now_pass"], found["now_fail"]) == (4, [2, 0], 2, 0)
    assert sorted(each["frame"] for each in found["decided_otherwise"]) == ["0.jpg", "2.jpg"]
    before, now = found["decided_otherwise"][0]["score_ratios"]
    np.testing.assert_allclose(before, 10 * now, rtol=1e-4)
    picture = decode(Path("diff.png").read_bytes(), max_pixels=None)
    assert picture.shape[1] == 1800
    swapped = run("bank", "diff", "active", "previous", *arguments[:-2], "--json", "diff.json", *cluster.arguments)
    assert swapped.code == 0, swapped.err
    assert json.loads(Path("diff.json").read_text())["now_fail"] == 2
    nothing = run("bank", "diff", "active", "previous", *cluster.arguments)
    assert nothing.code == 1
    assert "the store holds no window of line-1/camera-1" in nothing.err
    unknown = run("bank", "diff", "active", "pinned", *cluster.arguments)
    assert unknown.code == 2
    assert "no bank in the store is pinned" in unknown.err
    assert state.active is not None


def test_bank_files_that_nobody_needs_go(run: Run, cluster: CommandCluster, state: BankState) -> None:
    """Three stay: what is in force, what was before it, and the newest of those that no state names."""
    times = [f"2026-05-0{day}T12:00:00+00:00" for day in range(1, 4)]
    versions = []
    for at in times:
        data = bank_file(created_at=at)
        versions.append(bank_version(data))
        cluster.store.put(bank_path(VIEW, bank_version(data)), data)
    said = run("bank", "gc", "--keep", "3", "--dry-run", *cluster.arguments)
    assert said.code == 0, said.err
    assert said.out.count("would delete") == 2
    assert len(list(banks_among(cluster.store.paths("banks")))) == 5
    done = run("bank", "gc", "--keep", "3", *cluster.arguments)
    assert done.out.count("deleted") == 2
    left = {each.version for each in banks_among(cluster.store.paths("banks"))}
    assert state.active is not None
    assert state.previous is not None
    assert left == {state.active.version, state.previous.version, versions[-1]}
    assert "Every bank in the store is in use" in run("bank", "gc", "--keep", "3", *cluster.arguments).out
