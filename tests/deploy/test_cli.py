"""The command line as a person meets it: help, next steps, one sentence per mistake, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from deploy.cli import COMMANDS, app
from deploy.errors import EXPECTED, CommandFailed, UsageError, command_error_of
from deploy.lazy_commands import LazyCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def leaves(group: TyperGroup, *path: str) -> Iterator[tuple[str, LazyCommand]]:
    """Every command below a group, by its full name."""
    for name, command in group.commands.items():
        if isinstance(command, LazyCommand):
            yield " ".join((*path, name)), command
        else:
            assert isinstance(command, TyperGroup)
            yield from leaves(command, *path, name)


LEAVES = dict(leaves(cast("TyperGroup", get_command(app))))


def patchline(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, on a terminal of 100 columns."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PATCHLINE")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "100", "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bare_command_tells_a_newcomer_the_next_step(tmp_path: Path) -> None:
    """And exits well: nothing went wrong."""
    answer = patchline(folder=tmp_path)
    assert answer.returncode == 0
    assert "start with patchline demo" in answer.stdout


def test_where_settings_are_the_next_step_is_to_start(tmp_path: Path) -> None:
    """Who has written a patchline.yaml has seen the demo."""
    (tmp_path / "patchline.yaml").write_text("kafka: {}\n")
    assert "start with patchline up" in patchline(folder=tmp_path).stdout


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    """One screen says all there is."""
    text = patchline("--help", folder=tmp_path).stdout
    for entry in COMMANDS:
        assert f" {entry.name} " in text
    assert "Exit codes: 0 went well, 1 failed, 2 wrong use." in text


def test_the_table_of_commands_names_every_command_module() -> None:
    """A command that is not in the table cannot be called."""
    files = (ROOT / "deploy" / "commands").glob("*.py")
    modules = {f"deploy.commands.{file.stem}" for file in files if file.stem not in {"__init__", "options"}}
    assert {command.target.partition(":")[0] for command in LEAVES.values()} == modules
    assert {"demo", "bank list", "dead-letters replay", "evaluate"} < LEAVES.keys()


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help needs no broker and no settings; its first paragraph is the summary in the table of commands."""
    command = LEAVES[name].load()
    assert (command.help or "").split("\n\n")[0] == LEAVES[name].help
    command.main(["--help"], prog_name=f"patchline {name}", standalone_mode=False)
    assert f"Usage: patchline {name}" in capsys.readouterr().out


def test_a_group_lists_its_commands(tmp_path: Path) -> None:
    """A command line with nothing behind the group is help, and wrong use."""
    answer = patchline("bank", folder=tmp_path)
    assert all(f" {name} " in answer.stdout + answer.stderr for name in ("list", "show", "promote", "rollback"))
    assert answer.returncode == 2


def test_a_command_parses_its_own_options_once_it_is_invoked(tmp_path: Path) -> None:
    """The one in the table has none."""
    answer = patchline("bank", "show", "--bnk", "x", folder=tmp_path)
    assert "No such option: --bnk" in answer.stderr
    assert answer.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--set", "trainer.build_thread=2"], "did you mean trainer.build_threads?"),
        (["inspect", "--settings", "none.yaml"], "none.yaml does not exist"),
        (["camera", "a/b"], "choose one of --folder DIR, --video FILE and --simulate PART"),
        (["camera", "a/b", "--simulate", "bolt"], "--simulate bolt is none of ring, bracket, gear"),
        (["camera", "a/b", "--simulate", "ring", "--fault", "dark"], "--fault dark is no fault: write black:100:30"),
        (["camera", "a@b", "--simulate", "ring"], "without @"),
        (["camera", "a/b", "--folder", "none"], "none is not a folder; name one that holds images"),
        (["demo", "--images", "."], "holds no images"),
        (["build", "none", "--out", "x"], "none is not a folder; name one that holds images"),
        (["build", "none", "--out", "."], "--out . is a folder; name a file in it"),
        (["bank", "show", "zzz"], "zzz is neither a bank file nor the start of a version"),
        (["up", "--ephemeral", "--bootstrap-servers", "a:1"], "leave --bootstrap-servers away"),
        (["up", "--ephemeral", "--set", "kafka.bootstrap_servers=far:9092"], "but kafka.bootstrap_servers is far:9092"),
        (["threshold", "a/b", "--cost-reject", "2"], "give both --cost-reject and --cost-escape"),
        (["threshold", "a/b", "--cost-reject", "2", "--cost-escape", "0"], "must be above 0"),
        (
            ["threshold", "a/b", "--cost-reject", "2", "--cost-escape", "9", "--false-reject", "0.1"],
            "costs say which ratio to ask for",
        ),
        (["inspect", "--set", "runtime.backbone=none.onnx"], "runtime.backbone none.onnx is neither lite0 nor a file"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    """No traceback: it would hide what to do."""
    answer = patchline(*arguments, folder=tmp_path)
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.returncode == 2


def test_a_file_that_is_no_bank_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    """Asked rightly, and failed."""
    (tmp_path / "x.safetensors").write_bytes(b"hello, this is no bank")
    answer = patchline("bank", "show", "x.safetensors", folder=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("patchline: ")
    assert answer.stderr.count("\n") == 1


def test_a_bank_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    """Before the pictures are looked at, even."""
    (tmp_path / "file").touch()
    answer = patchline("build", "none", "--out", "file/bank.safetensors", folder=tmp_path)
    assert "file: " in answer.stderr
    assert answer.returncode == 1


def test_a_setting_in_the_environment_counts(tmp_path: Path) -> None:
    """And a wrong one is refused there, too."""
    answer = patchline("topics", "show", folder=tmp_path, PATCHLINE__KAFKA__BOOTSTRAP_SERVER="a:1")
    assert answer.returncode == 2
    assert "did you mean kafka.bootstrap_servers?" in answer.stderr


def test_every_error_that_a_person_can_cause_is_expected() -> None:
    """The table names classes that exist, and each becomes a fault with its own text."""
    for module, name, kind in EXPECTED:
        __import__(module)
        error = getattr(sys.modules[module], name)
        assert issubclass(error, Exception)
        assert issubclass(kind, UsageError | CommandFailed)


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    """Only what the world does wrong becomes one sentence."""
    assert command_error_of(KeyError("view")) is None


@pytest.mark.parametrize("arguments", [["--help"], ["bank", "--help"]])
def test_help_answers_at_once(arguments: list[str]) -> None:
    """It lists commands from a table: neither a command's module nor anything heavy is loaded for it."""
    code = (
        "import sys\n"
        "from deploy.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'faiss', 'numba', 'kafka', 'fsspec', 'deploy.settings'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert "Usage: " in answer.stdout
    assert answer.stderr == "[]\n"
