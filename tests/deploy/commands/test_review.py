"""`patchline review` on the embedded broker: groups are listed, shown and answered, by a trainer that only answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from ingest.annotation import Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce
from ingest.feedback import Feedback, FeedbackKind
from ingest.store_layout import bank_path
from softpatch.bank import bank_version
from tests.deploy.annotations import VIEW, annotation, exemplar, view_state
from tests.deploy.answering_trainer import AnsweringTrainer
from tests.inference.sample_bank import jpeg
from tests.trainer.bank_files import bank_file

if TYPE_CHECKING:
    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = pytest.mark.embedded

OPEN = annotation("g11aa22bb", exemplars=[exemplar(4, "annotations/a/0.frame"), exemplar(5, "annotations/a/1.frame")])
ANSWERED = annotation("g33cc44dd", Label.DEFECT)


def test_what_waits_is_listed_with_what_happens_if_nobody_answers(run: Run, cluster: CommandCluster) -> None:
    """Answered groups on request; a view that is not known is named with the nearest."""
    empty = run("review", "list", *cluster.arguments)
    assert (empty.code, empty.out) == (0, "No group waits for a word.\n")
    cluster.publish(view_state(OPEN, ANSWERED))
    short = run("review", "list", VIEW, "--json", "list.json", *cluster.arguments)
    assert "g11aa22bb" in short.out
    assert "g33cc44dd" not in short.out
    assert "the frames of an open group keep failing; nothing else is lost." in " ".join(short.out.split())
    listed = json.loads(Path("list.json").read_text())["annotations"]
    assert [(each["view"], each["id"], each["label"], each["frames"]) for each in listed] == [
        (VIEW, "g11aa22bb", "open", 16)
    ]
    assert "g33cc44dd" in run("review", "list", "--all", *cluster.arguments).out
    other = run("review", "list", "line-1/camera-2", *cluster.arguments)
    assert other.code == 2
    assert "did you mean line-1/camera-1?" in " ".join(other.err.split())


def test_a_group_is_shown_beside_a_frame_of_none(run: Run, cluster: CommandCluster) -> None:
    """In words, and as a picture of three cards, or of two where no bank is at hand; without pictures, a sentence."""
    for number, each in enumerate(OPEN.exemplars):
        cluster.store.put(each.path, jpeg(number))
    data = bank_file(probe=jpeg(7))
    version = bank_version(data)
    cluster.store.put(bank_path(VIEW, version), data)
    active = BankInForce(version=version, uri=bank_path(VIEW, version), graph_hash="0" * 64, threshold=2)
    cluster.publish(view_state(OPEN, ANSWERED, active=active))
    answer = run("review", "show", VIEW, "g11", "-o", "with.png", "--json", "g.json", *cluster.arguments)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("Group g11aa22bb of line-1/camera-1: 16 frames of the latest window (4.0 %)")
    assert json.loads(Path("g.json").read_text())["id"] == "g11aa22bb"
    cluster.publish(view_state(OPEN, ANSWERED))
    run("review", "show", VIEW, "g11", "-o", "without.png", *cluster.arguments)
    with_usual, without = (cv2.imread(name) for name in ("with.png", "without.png"))
    assert with_usual is not None
    assert with_usual.shape == without.shape
    assert (with_usual != without).any()
    none = run("review", "show", VIEW, "g33", "-o", "none.png", *cluster.arguments)
    assert none.code == 1
    assert "the store has no picture of g33cc44dd" in none.err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("good", FeedbackKind.GROUP_GOOD),
        ("defect", FeedbackKind.GROUP_DEFECT),
        ("no-part", FeedbackKind.GROUP_NO_PART),
        ("ignore", FeedbackKind.GROUP_IGNORE),
    ],
)
def test_a_word_on_a_group_is_sent_and_its_answer_printed(
    name: str, kind: FeedbackKind, run: Run, cluster: CommandCluster
) -> None:
    """By the start of the id; who and why go along; a good group gets the hint on products."""
    cluster.publish(view_state(OPEN, ANSWERED))
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.LABELLED) as trainer:
        answer = run("review", name, VIEW, "g11", "--why", "a variant", "--json", "e.json", *cluster.arguments)
    assert answer.code == 0, answer.err
    assert isinstance(trainer.heard, Feedback)
    assert (trainer.heard.kind, trainer.heard.annotation, trainer.heard.why) == (kind, "g11aa22bb", "a variant")
    assert answer.out.startswith("labelled for line-1/camera-1, epoch 1, by ana: to see\n")
    assert ("`product`" in answer.out) == (name == "good")
    assert json.loads(Path("e.json").read_text())["command_id"] == trainer.heard.id


def test_a_word_on_a_group_is_taken_back(run: Run, cluster: CommandCluster) -> None:
    """One that nobody gave cannot be."""
    cluster.publish(view_state(OPEN, ANSWERED))
    refused = run("review", "undo", VIEW, "g11", *cluster.arguments)
    assert refused.code == 2
    assert "nobody has said what it is, so there is nothing to take back" in " ".join(refused.err.split())
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.LABEL_REMOVED) as trainer:
        answer = run("review", "undo", VIEW, "g33", *cluster.arguments)
    assert answer.code == 0, answer.err
    assert isinstance(trainer.heard, Feedback)
    assert (trainer.heard.kind, trainer.heard.annotation) == (FeedbackKind.UNDO, "g33cc44dd")
