"""A build in a process of its own, with stand-ins for what runs in there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from ingest.store import FsspecStore
from softpatch.network.graph import lite0
from softpatch.settings import BuildSettings
from tests.brokers import alive
from tests.trainer.kafka_line import picture
from tests.trainer.views import AT, VIEW
from trainer.build_child import Steps, sentence
from trainer.build_order import BuildFailed, BuildFinished, BuildOrder, BuildStep, NetworkRun, answer_of
from trainer.build_process import BuildProcess, progress_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trainer.build_order import BuildAnswer

pytestmark = pytest.mark.process

WAIT_SECONDS = 20.0


def order(folder: Path) -> BuildOrder:
    """An order that a stand-in may read."""
    return BuildOrder(
        view=VIEW,
        store_url=str(folder),
        frames=("a", "b"),
        frame_names=("a", "b"),
        graph=str(folder / "graph.onnx"),
        network=NetworkRun(provider="cpu"),
        threads=1,
        niceness=7,
        settings=BuildSettings(),
        created_at=AT.isoformat(),
        provenance={},
        parent=None,
        max_pixels=50_000_000,
        result=str(folder / "bank.safetensors"),
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., BuildProcess]]:
    """Start a build whose process runs the Python code given; ended after the test, whatever became of it."""
    started: list[BuildProcess] = []

    def begin(
        code: str,
        *,
        timeout_seconds: float = 60,
        memory_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> BuildProcess:
        child = (sys.executable, "-c", textwrap.dedent(code))
        limits = {"timeout_seconds": timeout_seconds, "memory_bytes": memory_bytes}
        started.append(BuildProcess(order(tmp_path), clock=clock, child=child, **limits))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def ended(process: BuildProcess) -> BuildAnswer | None:
    """The last word of a build, asked for until it comes."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        answer = process.poll()
        if isinstance(answer, BuildFinished | BuildFailed):
            return answer
        time.sleep(0.02)
    return process.poll()


def test_steps_come_through_while_it_runs_and_the_end_after_them(start: Callable[..., BuildProcess]) -> None:
    """What libraries print in between is not taken for an answer."""
    process = start("""
        import sys, time
        print('{"stage":"embed","done":3,"total":4}', flush=True)
        print("a library says hello", flush=True)
        sys.stdin.read()
        time.sleep(0.5)
        print('{"stage_seconds":{"embed":1.5}}', flush=True)
    """)
    until = time.monotonic() + WAIT_SECONDS
    while (step := process.poll()) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert step == BuildStep(stage="embed", done=3, total=4)
    assert progress_ratio(step) == 0.75
    assert ended(process) == BuildFinished(stage_seconds={"embed": 1.5})
    assert ended(process) == BuildFinished(stage_seconds={"embed": 1.5})


def test_a_sentence_of_the_child_is_the_reason(start: Callable[..., BuildProcess]) -> None:
    """It knows best what went wrong."""
    process = start("""print('{"failed":"2 of 9 frames can be decoded"}'); raise SystemExit(1)""")
    assert ended(process) == BuildFailed(failed="2 of 9 frames can be decoded")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import os; os.kill(os.getpid(), 9)",
            "the build process was killed by SIGKILL: most likely out of memory; lower window_frames or the input size",
        ),
        ("import os; os.kill(os.getpid(), 11)", "the build process was killed by SIGSEGV"),
        (
            "raise SystemExit(3)",
            "the build process ended with exit code 3 and gave no bank; its own output says more",
        ),
        ("", "the build process ended with exit code 0 and gave no bank; its own output says more"),
    ],
)
def test_a_death_without_a_word_is_a_failure(start: Callable[..., BuildProcess], code: str, reason: str) -> None:
    """Killed for memory, crashed in native code, or gone: the build failed, and never counts as running."""
    assert ended(start(code)) == BuildFailed(failed=reason)


def test_a_build_that_takes_too_long_is_stopped(start: Callable[..., BuildProcess]) -> None:
    """Its process is gone when the failure is reported."""
    moments = iter([0.0, 9.0, 11.0])
    process = start("import time; time.sleep(60)", timeout_seconds=10, clock=lambda: next(moments))
    assert process.poll() is None
    assert process.poll() == BuildFailed(failed="the build took longer than build_timeout_seconds, 10 s")
    assert not alive(process.pid)


def test_a_build_that_takes_too_much_memory_is_stopped(start: Callable[..., BuildProcess]) -> None:
    """Before the system ends something else for want of it; one that stays below is left alone."""
    greedy = start("import time; held = b'x' * 300_000_000; time.sleep(60)", memory_bytes=200_000_000)
    answer = ended(greedy)
    assert isinstance(answer, BuildFailed)
    assert answer.failed.startswith("the build took ")
    assert "bytes of memory, build_memory_bytes allows 200000000: lower window_frames" in answer.failed
    assert not alive(greedy.pid)
    modest = start("""print('{"stage_seconds":{}}')""", memory_bytes=200_000_000)
    assert ended(modest) == BuildFinished(stage_seconds={})


def test_a_build_leaves_out_frames_that_are_too_large(tmp_path: Path) -> None:
    """By the trainer's own limit, which may have been lowered since the window took them."""
    store = FsspecStore.open(str(tmp_path))
    for name in ("a", "b"):
        store.put(name, picture(1))
    (tmp_path / "graph.onnx").write_bytes(lite0().model)
    limited = order(tmp_path).model_copy(update={"max_pixels": 96 * 96 - 1})
    process = BuildProcess(limited, timeout_seconds=60, clock=time.monotonic)
    try:
        answer = ended(process)
    finally:
        process.kill()
    assert isinstance(answer, BuildFailed)
    assert answer.failed.startswith("0 of 2 frames can be decoded")


def test_threads_are_capped_in_the_child(start: Callable[..., BuildProcess]) -> None:
    """Before its libraries load: they read it then."""
    process = start("""
        import json, os
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        print(json.dumps({"stage_seconds": {name: int(os.environ[name]) for name in names}}))
    """)
    answer = ended(process)
    assert isinstance(answer, BuildFinished)
    assert answer.stage_seconds == dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), 1
    )


CHILD_OF_A_CHILD = """
import os, subprocess, sys, time
code = "import os, signal, sys, time; from ingest.parent_process import die_with_parent; "
code += "die_with_parent(signal.SIGKILL, parent_pid=int(sys.argv[1])); "
code += "print(os.getpid(), flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", code, str(os.getpid())])
time.sleep(60)
"""


def test_a_build_dies_with_the_trainer() -> None:
    """Kill -9 of the trainer leaves no build behind that would take the cores from its successor's."""
    parent = subprocess.Popen([sys.executable, "-c", CHILD_OF_A_CHILD], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    until = time.monotonic() + WAIT_SECONDS
    while running(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not running(child)


def test_a_build_whose_trainer_is_gone_already_does_not_start() -> None:
    """Between its start and its request to the kernel the parent may die: then nobody would tell it."""
    command = [sys.executable, "-m", "trainer.build_child", "no-order", str(1 + os.getpid())]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (child.returncode, child.stderr) == (1, "the trainer that started this build is gone\n")


def running(pid: int) -> bool:
    """Whether a process runs: one that nobody has buried yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 -- one short read
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too few\n  frames"), "too few frames"),
        (MemoryError(), "MemoryError"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_an_error_becomes_one_line(error: Exception, text: str) -> None:
    """Errors our code names speak for themselves, others with their type."""
    assert sentence(error) == text


def test_stages_that_come_again_count_all_their_time(tmp_path: Path) -> None:
    """Stages may take turns; each stage's time is the sum of its turns."""
    moments = iter([0.0, 2.0, 5.0, 6.0])
    with (tmp_path / "answers").open("w+b") as answers:
        steps = Steps(answers, clock=lambda: next(moments))
        for stage, done in (("embed", 1), ("embed", 2), ("subsample", 1), ("embed", 3)):
            steps.step(stage, done, 3)
        assert steps.finished() == BuildFinished(stage_seconds={"embed": 3.0, "subsample": 3.0})
        answers.seek(0)
        assert next(answer_of(line) for line in answers) == BuildStep(stage="embed", done=1, total=3)
