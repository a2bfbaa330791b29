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

    from tests.command_line import Ended, Run

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


def test_a_bare_command_shows_a_newcomer_the_next_step(run: Run) -> None:
    """And exits well: nothing went wrong."""
    answer = run()
    assert answer.code == 0
    assert "start with patchline demo" in answer.out


def test_where_settings_are_the_next_step_is_to_start(run: Run) -> None:
    """Who has written a patchline.yaml has seen the demo."""
    Path("patchline.yaml").write_text("kafka: {}\n")
    assert "start with patchline up" in run().out


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    """One screen says all there is."""
    text = run("--help").out
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


def test_a_group_lists_its_commands(run: Run) -> None:
    """A command line with nothing behind the group is help, and wrong use."""
    answer = run("bank")
    assert all(f" {name} " in answer.out + answer.err for name in ("list", "show", "promote", "rollback"))
    assert answer.code == 2


WRONG_USE = [
    (["inspekt"], "No such command 'inspekt'."),
    (["score", "part.png"], "Missing option '--bank'."),
    (["camera", "line/top", "--rate", "fast"], "Invalid value for '--rate'"),
    (["camera", "line/top", "--frames", "0"], "Invalid value for '--frames'"),
    (["topics", "show", "--jsn", "x"], "No such option: --jsn"),
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
    (["bank", "show", "--bnk", "x"], "No such option: --bnk"),
    (["score", "x.png", "y.png", "--bank", "b", "--overlay", "h.png"], "--overlay draws one picture"),
    (["export", "--out", "history.xls"], "must end in .csv or .parquet"),
    (["record", "--set", "record.databse=x"], "did you mean record.database?"),
    (["record", "--set", "record.metrics_port=0", "--set", "record.database=x"], "record.database cannot be used"),
    (["console", "--set", "console.time_zone=Mars/Olympus"], "Olympus is no time zone"),
    (["users", "add", "ana", "--role", "boss"], "'boss' is not one of 'viewer', 'operator', 'engineer'"),
    (["users", "remove", "nobody"], "there is no account nobody"),
    (["report", "--shift", "next"], "'next' is not one of 'last', 'this'"),
    (["report", "--language", "fr"], "console.language: input should be 'en', 'de' or 'zh'"),
    (["up", "--ephemeral", "--bootstrap-servers", "a:1"], "leave --bootstrap-servers away"),
    (["relearn", "a/b"], "relearn forgets the window of a/b, and its frames are undecided until it has learnt anew"),
    (["bank", "diff", "active"], "Missing argument 'B'"),
    (["bank", "diff", "active", "pinned", "--frames", "0"], "Invalid value for '--frames'"),
    (["bank", "gc", "--keep", "-1"], "Invalid value for '--keep'"),
    (["shadow"], "Missing argument 'VIEW'"),
    (["replay", "a/b", "--from", "7", "--to", "0:9"], "7 is no record: write PARTITION:OFFSET"),
    (["replay", "a/b", "--from", "0:7", "--to", "1:9"], "0:7 and 1:9 lie in two partitions"),
    (["replay", "a/b", "--from", "0:7", "--to", "0:6"], "0:6 comes before 0:7"),
    (["pin"], "Missing argument 'VIEW'"),
    (["hold", "a/b", "--reason", "x"], "No such option: --reason"),
    (["doctor", "--set", "kafka.topics={frames: decisions}"], "decisions would be two topics at once"),
    (["views", "retire", "a/b"], "retire removes the banks and the window of a/b for good: give --yes"),
    (["feedback", "a/b", "0:1", "wrong"], "'wrong' is not one of 'escaped', 'false-reject'"),
    (["feedback", "a/b", "0:1", "bad", "--box", "1,2"], "--box 1,2 is no box: write left,top,right,bottom in pixels"),
    (["review", "good", "a/b"], "Missing argument 'GROUP'"),
    (["threshold", "a/b", "--cost-reject", "2"], "give both --cost-reject and --cost-escape"),
    (["threshold", "a/b", "--cost-reject", "2", "--cost-escape", "0"], "must be above 0"),
    (
        ["threshold", "a/b", "--cost-reject", "2", "--cost-escape", "9", "--false-reject", "0.1"],
        "costs choose the ratio",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG_USE)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, run: Run) -> None:
    """No traceback: it would hide what to do."""
    answer = run(*arguments)
    assert sentence in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert answer.code == 2


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--ephemeral", "--set", "kafka.bootstrap_servers=far:9092"], "but kafka.bootstrap_servers is far:9092"),
        (
            ["inspect", "--set", "runtime.backbone=none.onnx"],
            "runtime.backbone none.onnx is neither lite0 nor lite2 nor a file",
        ),
    ],
)
def test_wrong_use_ends_a_service_that_has_begun(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    """As a process: by then it has bound its signals and turned up its logs."""
    answer = patchline(*arguments, folder=tmp_path)
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.returncode == 2


@pytest.mark.process
def test_a_command_that_fails_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    """Used rightly, and failed; as a process, so that nothing but the sentence is written."""
    (tmp_path / "x.safetensors").write_bytes(b"hello, this is no bank")
    answer = patchline("bank", "show", "x.safetensors", folder=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("patchline: ")
    assert answer.stderr.count("\n") == 1


def test_a_bank_file_that_cannot_be_written_is_reported_before_the_work(run: Run) -> None:
    """Before the pictures are looked at, even."""
    Path("file").touch()
    answer = run("build", "none", "--out", "file/bank.safetensors")
    assert "file: " in answer.err
    assert answer.code == 1


def test_a_setting_in_the_environment_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a wrong one is refused there, too."""
    monkeypatch.setenv("PATCHLINE__KAFKA__BOOTSTRAP_SERVER", "a:1")
    answer = run("topics", "show")
    assert answer.code == 2
    assert "did you mean kafka.bootstrap_servers?" in answer.err


@pytest.mark.parametrize("service", ["train", "inspect"])
def test_an_unknown_setting_is_refused_with_the_nearest_right_name(
    service: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In patchline.yaml and in the environment; a service does not start on half of what was meant."""
    with monkeypatch.context() as environment:
        environment.setenv("PATCHLINE__INFERENCE__BATCH_FRAMS", "4")
        assert last_line(run(service), 2) == (
            "patchline: PATCHLINE__INFERENCE__BATCH_FRAMS: unknown setting inference.batch_frams; "
            "did you mean inference.batch_frames?"
        )
    (tmp_path / "patchline.yaml").write_text("views: {'*': {first_build_frame: 50}}\n")
    assert last_line(run(service), 2) == (
        "patchline: patchline.yaml: unknown setting views.*.first_build_frame; did you mean views.*.first_build_frames?"
    )


def test_a_bank_that_is_missing_or_another_file_is_named(run: Run, tmp_path: Path) -> None:
    """One sentence for each."""
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "text.bank").write_bytes(b"no bank either")
    missing, another_kind = [
        last_line(run("score", "text.png", "--bank", f"{name}.bank"), 1) for name in ("none", "text")
    ]
    assert missing == "patchline: cannot read none.bank: No such file or directory"
    assert another_kind == (
        "patchline: text.bank: 14 bytes are too few for a bank: the file is cut off or is something else"
    )


def last_line(end: Ended, code: int) -> str:
    """Of stderr, where the command ended as it must and printed nothing of its insides."""
    assert end.code == code, end.err
    assert "Traceback" not in end.err
    return end.err.splitlines()[-1]


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


@pytest.mark.process
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
