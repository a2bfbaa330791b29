"""`patchline feedback` on the embedded broker: a frame is found, the word is sent, the next bank is waited for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.commands.feedback import _ends_the_build
from ingest.annotation import Label
from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankInForce
from ingest.contract import SourceRecord
from ingest.decision import decision_id
from ingest.feedback import Feedback, FeedbackKind
from ingest.store_layout import bank_path
from softpatch.bank import bank_to_bytes, bank_version
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.deploy.annotations import VIEW, annotation, exemplar, view_state
from tests.deploy.answering_trainer import AnsweringTrainer, event
from tests.deploy.runs import decided
from tests.inference.sample_bank import jpeg, sample_bank

if TYPE_CHECKING:
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = pytest.mark.embedded

BOX = (10.0, 20.0, 30.0, 40.0)
WORD = annotation("3fa85f64-aa", Label.DEFECT, origin="feedback", exemplars=[exemplar(4, "annotations/w/0.frame")])


def sent_frame(cluster: CommandCluster, frame_id: str, *, ratio: float, view: str = VIEW) -> SourceRecord:
    """A plate that was sent and decided with this ratio, with one region."""
    sent = cluster.send_frame(view, jpeg(3))
    source = SourceRecord(topic=sent.partition.topic, partition=sent.partition.partition, offset=sent.offset)
    changes = {"id": decision_id(view, frame_id), "view": view, "frame_id": frame_id, "source": source}
    decision = decided(ratio, regions=(BOX,), size_wh=(96, 96))
    cluster.decide(decision.model_copy(update={**changes, "decided_at": datetime.now(UTC)}))
    return source


@pytest.fixture
def rejected(cluster: CommandCluster) -> SourceRecord:
    """A frame of a known view that failed, after one that passed."""
    cluster.publish(view_state(WORD))
    sent_frame(cluster, "a-1", ratio=0.4)
    return sent_frame(cluster, "a-2", ratio=1.4)


@pytest.mark.parametrize("named", ["record", "frame", "decision"])
def test_a_frame_is_found_by_any_of_its_names(
    named: str, run: Run, cluster: CommandCluster, rejected: SourceRecord
) -> None:
    """What was decided is printed before the word is sent; without a box it is about the decided regions."""
    names = {
        "record": f"{rejected.partition}:{rejected.offset}",
        "frame": "a-2",
        "decision": decision_id(VIEW, "a-2")[:12],
    }
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.LABELLED) as trainer:
        arguments = [VIEW, names[named], "false-reject", "--why", "only oil", "--json", "f.json"]
        answer = run("feedback", *arguments, *cluster.arguments)
    assert answer.code == 0, answer.err
    found, answered, consequence = answer.out.splitlines()
    assert found.startswith(f"Frame {rejected.partition}:{rejected.offset} (a-2): fail, score ratio 1.40, ")
    assert answered == "labelled for line-1/camera-1, epoch 1, by ana: to see"
    assert consequence.startswith("Its patches count as good in the next bank")
    assert isinstance(trainer.heard, Feedback)
    word = trainer.heard
    assert (word.kind, word.source, word.box_xyxy_px) == (FeedbackKind.FALSE_REJECT, rejected, BOX)
    assert (word.why, word.decision_id) == ("only oil", decision_id(VIEW, "a-2"))
    assert json.loads(Path("f.json").read_text())["answer"]["command_id"] == word.id


def test_a_frame_that_cannot_be_meant_is_one_sentence(
    run: Run, cluster: CommandCluster, rejected: SourceRecord
) -> None:
    """No such decision, no such record, another view's frame, a verdict that says otherwise."""
    cluster.publish(view_state(view="line-2/camera-1"))
    other = sent_frame(cluster, "b-1", ratio=0.4, view="line-2/camera-1")
    place = f"{rejected.partition}:{rejected.offset}"
    for name, word, sentence, code in (
        ("a-3", "bad", "no decision of line-1/camera-1 since", 2),
        (f"{rejected.partition}:999", "bad", f"Kafka no longer keeps the frame {rejected.partition}:999", 1),
        (f"{other.partition}:{other.offset}", "bad", "belongs to line-2/camera-1, not to line-1/camera-1", 2),
        (place, "escaped", "the frame failed, so the part did not escape", 2),
    ):
        answer = run("feedback", VIEW, name, word, *cluster.arguments)
        assert sentence in " ".join(answer.err.split())
        assert answer.code == code


def test_a_word_is_taken_back_by_its_id(run: Run, cluster: CommandCluster, rejected: SourceRecord) -> None:
    """Or the start of it."""
    assert rejected.offset >= 0
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.LABEL_REMOVED) as trainer:
        answer = run("feedback", VIEW, "3fa8", "undo", *cluster.arguments)
    assert answer.code == 0, answer.err
    assert isinstance(trainer.heard, Feedback)
    assert (trainer.heard.kind, trainer.heard.annotation) == (FeedbackKind.UNDO, "3fa85f64-aa")
    assert answer.out.splitlines()[0] == "label removed for line-1/camera-1, epoch 1, by ana: to see"


def in_force(cluster: CommandCluster, *, factor: float) -> str:
    """Put a bank of plates into the store, in force with so many times the threshold it suggests; its version."""
    bank = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1), view=VIEW)
    data = bank_to_bytes(bank)
    version, threshold = bank_version(data), bank.manifest.threshold.value
    cluster.store.put(bank_path(VIEW, version), data)
    active = BankInForce(
        version=version,
        uri=bank_path(VIEW, version),
        graph_hash=bank.manifest.graph_hash,
        threshold=factor * threshold,
    )
    cluster.publish(view_state(WORD, active=active))
    return version


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "pass"), (0.01, "fail")])
def test_the_next_bank_says_what_the_frame_is_then(
    factor: float, verdict: str, run: Run, cluster: CommandCluster, rejected: SourceRecord
) -> None:
    """By the threshold in force, which need not be the one that the bank suggests."""
    version = in_force(cluster, factor=factor)
    place, promoted = f"{rejected.partition}:{rejected.offset}", (BankEventKind.LABELLED, BankEventKind.PROMOTED)
    with AnsweringTrainer(cluster.settings, cluster.sender, *promoted, bank_version=version):
        answer = run("feedback", VIEW, place, "false-reject", "--wait", "--json", "f.json", *cluster.arguments)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1].startswith(f"By bank {version[:12]}: {verdict}, score ratio ")
    now = json.loads(Path("f.json").read_text())["now"]
    assert (now["bank"], now["verdict"]) == (version, verdict)


def test_a_build_that_fails_is_said(run: Run, cluster: CommandCluster, rejected: SourceRecord) -> None:
    """The word stays."""
    place, failed = f"{rejected.partition}:{rejected.offset}", (BankEventKind.LABELLED, BankEventKind.BUILD_FAILED)
    with AnsweringTrainer(cluster.settings, cluster.sender, *failed):
        answer = run("feedback", VIEW, place, "bad", "--wait", *cluster.arguments)
    assert answer.code == 1
    assert "the word is kept, but no bank could be built: to see" in " ".join(answer.err.split())


def test_a_build_that_a_later_word_stopped_ends_no_wait() -> None:
    """The bank that follows both comes after it; an earlier one in force does not follow the word."""
    answer = BankEvent.from_bytes(event("w", BankEventKind.LABELLED, epoch=4))
    stopped = BankEvent.from_bytes(event("w", BankEventKind.BUILD_FAILED, epoch=5))
    assert _ends_the_build(stopped, answer)
    assert not _ends_the_build(stopped.model_copy(update={"facts": {"stopped": True}}), answer)
    assert not _ends_the_build(BankEvent.from_bytes(event("x", BankEventKind.BUILD_FAILED, epoch=5)), answer)
    assert not _ends_the_build(BankEvent.from_bytes(event(None, BankEventKind.PROMOTED, epoch=4)), answer)
    assert _ends_the_build(BankEvent.from_bytes(event("x", BankEventKind.PROMOTED, epoch=6)), answer)
