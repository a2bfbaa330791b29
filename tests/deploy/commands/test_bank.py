"""`patchline bank list` and `show`: what the store holds, what is in force, and what is known without a broker."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.bank_signature import BankVerifier
from ingest.bank_state import BankInForce
from ingest.store import FsspecStore
from ingest.store_layout import bank_path, signature_path
from softpatch.bank import bank_from_bytes, bank_to_bytes, bank_version
from softpatch.manifest import GoldenResult, GroupRecord
from tests.brokers import free_port
from tests.deploy.annotations import VIEW, annotation, view_state
from tests.ingest.bank_keys import key_files
from tests.trainer.bank_files import bank_file

if TYPE_CHECKING:
    from ingest.store import Store
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

GROUP = GroupRecord(
    id="g11aa22bb",
    label="no_part",
    is_new=False,
    frames=12,
    share=0.2,
    box_xyxy=(0.0, 0.0, 1.0, 1.0),
    whole_frame=True,
    examples=["f3"],
    members=["f3", "f4"],
)


def stored_bank(store: Store) -> BankInForce:
    """A bank with a group and a golden set, put into the store."""
    bank = bank_from_bytes(bank_file())
    known = {"groups": [GROUP], "golden": GoldenResult(right=5, wrong=["w-1"])}
    data = bank_to_bytes(replace(bank, manifest=bank.manifest.model_copy(update=known)))
    path = bank_path(VIEW, bank_version(data))
    store.put(path, data)
    return BankInForce(version=bank_version(data), uri=path, graph_hash="0" * 64, threshold=3.5)


def test_banks_of_before_the_trainer_had_a_key_are_signed(run: Run, tmp_path: Path) -> None:
    """All of the store, or those of one view; without a broker."""
    store, keys = FsspecStore.open(str(tmp_path / "store")), key_files(tmp_path)
    bank = stored_bank(store)
    where, key = f"store.url={tmp_path / 'store'}", f"trainer.signing_key_file={keys.private}"
    refused = run("bank", "sign", "--set", where)
    assert (refused.code, "names no key" in refused.err) == (2, True)
    run("bank", "sign", "--view", "line-9/other", "--set", where, "--set", key)
    assert not store.exists(signature_path(bank.uri))
    assert bank.version[:12] in run("bank", "sign", "--set", where, "--set", key).out
    BankVerifier.open([keys.public]).check(bank.version, store.get(signature_path(bank.uri)))


def test_a_file_shows_its_groups_and_golden_set_without_kafka(run: Run, tmp_path: Path) -> None:
    """The members of a group stay in the file: they are a third of the window."""
    stored_bank(FsspecStore.open(str(tmp_path)))
    file = next(tmp_path.rglob("*.safetensors"))
    answer = run("bank", "show", str(file), "--json", "facts.json")
    assert answer.code == 0, answer.err
    assert "g11aa22bb no part: 12 frames (20.0 %), whole frame" in answer.out
    facts = json.loads(Path("facts.json").read_text())
    (group,) = facts["groups"]
    assert (group["id"], group["label"], group["place"]) == ("g11aa22bb", "no_part", "whole frame")
    assert "members" not in group
    assert (facts["golden_right"], facts["golden_wrong"], facts["tells_no_part"]) == (5, ["w-1"], False)
    assert (facts["own_metric"], facts["least_position_weight"]) == (False, None)
    assert "threshold_from" not in facts


@pytest.mark.slow
def test_a_stored_bank_is_shown_where_no_broker_answers(run: Run, tmp_path: Path) -> None:
    """Without what is in force, which only Kafka knows."""
    bank = stored_bank(FsspecStore.open(str(tmp_path / "store")))
    nobody = ("--set", f"store.url={tmp_path}/store", "--bootstrap-servers", f"127.0.0.1:{free_port()}")
    answer = run("bank", "show", bank.version[:8], *nobody)
    assert answer.code == 0
    assert "g11aa22bb" in answer.out
    assert "threshold from" not in answer.out
    assert "What is in force is not known: " in answer.err


@pytest.mark.embedded
def test_where_the_threshold_comes_from_is_listed_and_shown(run: Run, cluster: CommandCluster) -> None:
    """Who asked for it, and why; how many groups wait; all of it for scripts, too."""
    bank = stored_bank(cluster.store)
    asked = {"false_reject_ratio": 0.005, "threshold_from": "ana: fewer alarms"}
    cluster.publish(view_state(annotation("g9"), active=bank, **asked))
    listed = run("bank", "list", "--json", "banks.json", *cluster.arguments)
    assert listed.code == 0, listed.err
    assert "asked for by ana: fewer alarms." in listed.out
    assert "1 group waits for a person's word" in listed.out
    (view,) = json.loads(Path("banks.json").read_text())["views"]
    assert (view["threshold_from"], view["open_groups"]) == ("ana: fewer alarms", ["g9"])
    shown = run("bank", "show", bank.version[:8], "--json", "facts.json", *cluster.arguments)
    assert "ana: fewer alarms" in shown.out
    facts = json.loads(Path("facts.json").read_text())
    assert (facts["threshold_in_force"], facts["threshold"]) == (3.5, 2.0)


@pytest.mark.embedded
def test_a_lost_store_is_not_taken_for_a_view_that_has_learnt_nothing(run: Run, cluster: CommandCluster) -> None:
    """It said "No banks yet" while the line was inspected by one."""
    assert run("bank", "list", *cluster.arguments).out.startswith("No banks yet")
    bank = BankInForce(version="a" * 64, uri="a", graph_hash="c" * 64, threshold=7.0)
    cluster.publish(view_state(active=bank))
    answer = run("bank", "list", *cluster.arguments)
    assert answer.out.startswith("The store has no bank.\nline-1/camera-1: the store has no file of bank aaaaaaaaaaaa")
