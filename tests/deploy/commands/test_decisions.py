"""`patchline decisions` on the embedded broker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ingest.contract import SourceRecord
from ingest.decision import Decision, Reason, Verdict, decision_id
from ingest.kafka.records import Outgoing
from tests.deploy.annotations import VIEW

if TYPE_CHECKING:
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = pytest.mark.embedded


def decided(partition: int, *, minute: int) -> Decision:
    """A decision on a frame that came in that minute of the last hour."""
    at = datetime.now(UTC) - timedelta(minutes=60 - minute)
    return Decision(
        id=decision_id(VIEW, str(minute)),
        view=VIEW,
        frame_id=str(minute),
        source=SourceRecord(topic="frames", partition=partition, offset=minute),
        appended_at=at,
        decided_at=at,
        verdict=Verdict.UNDECIDED,
        reason=Reason.LEARNING,
    )


def test_the_last_decisions_are_the_latest_of_all_partitions(run: Run, cluster: CommandCluster) -> None:
    """Of a view that lies in two, those of the partition that is read last were shown, whenever they were made."""
    topic = cluster.settings.kafka.topic("decisions")
    for partition, minute in ((1, 10), (1, 40), (0, 20), (0, 30)):
        value = decided(partition, minute=minute).to_bytes()
        cluster.sender.send_and_wait(Outgoing(topic, VIEW.encode(), value, partition=partition))
    ended = run("decisions", VIEW, "--last", "3", "--json", "-", *cluster.arguments)
    assert ended.code == 0, ended.err
    assert [each["frame_id"] for each in json.loads(ended.out)["decisions"]] == ["20", "30", "40"]
