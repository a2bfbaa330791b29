"""`patchline shadow` on the embedded broker: flips counted, listed and drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.bank_state import BankInForce
from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, Verdict, VerdictInForce, decision_id
from ingest.kafka.records import Outgoing
from ingest.store_layout import bank_path
from softpatch.bank import bank_from_bytes, bank_to_bytes, bank_version
from softpatch.images.decode import decode
from tests.deploy.annotations import AT, VIEW, view_state
from tests.inference.sample_bank import jpeg
from tests.trainer.bank_files import bank_file

if TYPE_CHECKING:
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = pytest.mark.embedded


def stored(cluster: CommandCluster, created_at: str) -> BankInForce:
    """A bank of the view in the store."""
    bank = bank_from_bytes(bank_file(created_at=created_at))
    data = bank_to_bytes(replace(bank, manifest=bank.manifest.model_copy(update={"view": VIEW})))
    path = bank_path(VIEW, bank_version(data))
    cluster.store.put(path, data)
    return BankInForce(version=bank_version(data), uri=path, graph_hash="0" * 64, threshold=2.0)


def test_what_is_decided_otherwise_is_counted_listed_and_drawn(run: Run, cluster: CommandCluster) -> None:
    """Of three frames one would fail; a decision of an earlier trial does not count."""
    active, tried = stored(cluster, "2026-05-01"), stored(cluster, "2026-05-02")
    cluster.publish(view_state(active=active, shadow=tried, candidate=tried, shadow_since=AT))
    topic = cluster.settings.kafka.topic("decisions.shadow")
    for number, (verdict, version) in enumerate(
        [("pass", tried.version), ("fail", tried.version), ("pass", tried.version), ("fail", "e" * 64)]
    ):
        sent = cluster.send_frame(VIEW, jpeg(number))
        source = SourceRecord(topic=sent.partition.topic, partition=sent.partition.partition, offset=sent.offset)
        name = f"{source.partition}-{source.offset}"
        made = Decision(
            id=decision_id(VIEW, name),
            view=VIEW,
            frame_id=name,
            source=source,
            verdict=Verdict(verdict),
            score=3.0,
            threshold=2.0,
            score_ratio=1.5,
            bank=BankRef(version=version, epoch=2),
            appended_at=AT,
            decided_at=AT,
            in_force=VerdictInForce(verdict=Verdict.PASS, score_ratio=0.75),
        )
        cluster.sender.send_and_wait(Outgoing(topic, VIEW.encode(), made.to_bytes()))
    ended = run("shadow", VIEW, "--out", "flips.png", "--json", "flips.json", *cluster.arguments)
    assert ended.code == 0, ended.err
    assert "scored 3 frames" in ended.out
    assert "1 that passed would fail, 0 that failed would pass" in ended.out
    assert "0.75 of the threshold in force, 1.50 of the tried bank's: would fail" in ended.out
    found = json.loads(Path("flips.json").read_text())
    assert (found["shadow_frames"], found["now_fail"], found["now_pass"]) == (3, 1, 0)
    assert [each["verdict"] for each in found["decided_otherwise"]] == ["fail"]
    assert decode(Path("flips.png").read_bytes(), max_pixels=None).shape[1] == 1800


def test_a_view_that_tries_no_bank_says_so(run: Run, cluster: CommandCluster) -> None:
    """And where the setting is."""
    cluster.publish(view_state(active=stored(cluster, "2026-05-01")))
    ended = run("shadow", VIEW, *cluster.arguments)
    assert ended.code == 1
    assert "no bank of line-1/camera-1 is being tried; views.PATTERN.promotion says when one is" in ended.err
