"""`patchline rebuild` and `patchline relearn` on the embedded broker, with a trainer that only answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState
from ingest.command import Command, CommandKind
from tests.deploy.annotations import VIEW, view_state
from tests.deploy.answering_trainer import AnsweringTrainer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    ("arguments", "kind", "answer"),
    [
        (["rebuild", "--cancel"], CommandKind.CANCEL_BUILD, BankEventKind.BUILD_CANCELLED),
        (["hold"], CommandKind.HOLD, BankEventKind.HELD),
        (["release"], CommandKind.RELEASE, BankEventKind.RELEASED),
        (["pin"], CommandKind.PIN, BankEventKind.PINNED),
        (["unpin"], CommandKind.UNPIN, BankEventKind.UNPINNED),
        (["relearn", "--yes"], CommandKind.RELEARN, BankEventKind.RELEARNING),
        (["views", "retire", "--yes"], CommandKind.RETIRE, BankEventKind.RETIRED),
    ],
)
def test_the_command_is_sent_and_its_answer_printed(
    arguments: list[str], kind: CommandKind, answer: BankEventKind, run: Run, cluster: CommandCluster
) -> None:
    """Nobody writes a message by hand; the reason goes along."""
    cluster.publish(view_state())
    name = [word for word in arguments if not word.startswith("--")]
    flags = arguments[len(name) :]
    with AnsweringTrainer(cluster.settings, cluster.sender, answer) as trainer:
        ended = run(*name, VIEW, *flags, "--why", "new tool", *cluster.arguments)
    assert ended.code == 0, ended.err
    assert isinstance(trainer.heard, Command)
    assert (trainer.heard.kind, trainer.heard.view, trainer.heard.why) == (kind, VIEW, "new tool")
    assert ended.out == f"{answer.value.replace('_', ' ')} for line-1/camera-1, epoch 1, by ana: to see\n"


@pytest.mark.parametrize(
    ("outcome", "code"), [(BankEventKind.PROMOTED, 0), (BankEventKind.GATED, 0), (BankEventKind.REFUSED, 1)]
)
def test_a_rebuild_says_what_became_of_the_bank(
    outcome: BankEventKind, code: int, run: Run, cluster: CommandCluster
) -> None:
    """In force, in shadow, or refused: that a bank was built says too little."""
    cluster.publish(view_state())
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.BUILT, outcome) as trainer:
        ended = run("rebuild", VIEW, "--why", "new tool", *cluster.arguments)
    assert ended.code == code, ended.err
    assert isinstance(trainer.heard, Command)
    assert (trainer.heard.kind, trainer.heard.why) == (CommandKind.REBUILD, "new tool")
    assert ended.out == f"{outcome.value} for line-1/camera-1, epoch 2, by ana: to see\n"
    assert ("the bank is not in force: to see" in ended.err) is (code == 1)


def test_a_build_that_fails_ends_the_command(run: Run, cluster: CommandCluster) -> None:
    """With the trainer's reason and exit code 1; a view that nobody knows is not waited for."""
    cluster.publish(view_state())
    with AnsweringTrainer(cluster.settings, cluster.sender, BankEventKind.BUILD_FAILED):
        ended = run("rebuild", VIEW, *cluster.arguments)
    assert (ended.code, ended.err) == (1, "patchline: the build failed: to see\n")
    unknown = run("rebuild", "line-1/camera-2", *cluster.arguments)
    assert unknown.code == 2


def test_views_are_listed_the_longest_silent_first(run: Run, cluster: CommandCluster, tmp_path: Path) -> None:
    """With state, window and bank; a retired one is no view any more."""
    listed = tmp_path / "views.json"
    cluster.publish(view_state())
    gone = view_state().model_dump() | {"view": "line-1/gone", "state": "retired", "active": None, "annotations": ()}
    cluster.publish(BankState.model_validate(gone))
    ended = run("views", "list", "--json", str(listed), *cluster.arguments)
    assert ended.code == 0, ended.err
    assert VIEW in ended.out
    (view,) = json.loads(listed.read_text())["views"]
    assert (view["view"], view["window_frames"], view["last_kept_at"]) == (VIEW, 0, None)
