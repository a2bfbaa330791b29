"""`patchline replay` on the embedded broker, with a real bank in the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.contract import SourceRecord
from ingest.decision import decision_id
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.deploy.annotations import VIEW, view_state
from tests.inference.sample_bank import jpeg, record, sample_bank, stored
from tests.inference.test_inspector import Bench
from tests.inference.test_shadow import lenient

if TYPE_CHECKING:
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


def test_a_stretch_of_a_line_is_decided_again(run: Run, cluster: CommandCluster) -> None:
    """Reproduced by its own bank; a record that lies is told with exit code 1; another bank is the what-if."""
    embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=1)
    bank = sample_bank(embedder, view=VIEW)
    in_force, other = stored(cluster.store, bank).in_force, stored(cluster.store, lenient(bank)).in_force
    cluster.publish(view_state(active=in_force, epoch=3))
    bench = Bench(cluster.store, embedder)
    bench.put_in_force(bank, epoch=3)
    sources = []
    for number in range(4):
        sent = cluster.send_frame(VIEW, jpeg(number, defect=number == 2))
        at = SourceRecord(topic=sent.partition.topic, partition=sent.partition.partition, offset=sent.offset)
        (made,) = bench.decisions(
            record(sent.offset, jpeg(number, defect=number == 2), key=VIEW.encode(), partition=at.partition)
        )
        name = f"{at.partition}-{at.offset}"
        made = made.model_copy(update={"source": at, "frame_id": name, "id": decision_id(VIEW, name)})
        if number == 3:
            made = made.model_copy(update={"change_bits": 63})
        now = datetime.fromtimestamp(sent.timestamp_ms / 1000, UTC)
        cluster.decide(made.model_copy(update={"appended_at": now, "decided_at": now}))
        sources.append(at)
    bench.close()
    first, third, last = (f"{sources[n].partition}:{sources[n].offset}" for n in (0, 2, 3))
    same = run("replay", VIEW, "--from", first, "--to", third, "--json", "replay.json", *cluster.arguments)
    assert same.code == 0, same.err + same.out
    assert "3 frames of line-1/camera-1 decided again by the banks of then: 0 differ" in same.out
    assert json.loads(Path("replay.json").read_text())["differing"] == []
    lies = run("replay", VIEW, "--from", first, "--to", last, *cluster.arguments)
    assert lies.code == 1
    assert f"{last}  change_bits 63 is " in lies.out
    assert "1 of 4 decisions are not reproduced" in lies.err
    what_if = run("replay", VIEW, "--from", first, "--to", third, "--bank", other.version[:12], *cluster.arguments)
    assert what_if.code == 0, what_if.err
    assert f"{third}  verdict fail is pass" in what_if.out
    nothing = run("replay", VIEW, "--from", "0:90000", "--to", "0:90001", *cluster.arguments)
    assert nothing.code == 1
    assert "Kafka has no frame of line-1/camera-1 from 0:90000 to 90001" in nothing.err
