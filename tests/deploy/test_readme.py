"""What README shows works as it stands there."""

from __future__ import annotations

import re
import runpy
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.cli import COMMANDS
from deploy.settings import read_settings
from ingest.cameras.simulator import Simulator
from softpatch.building.build import build_bank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softpatch.bank import Bank

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks in this language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A folder with pictures of good parts, as README takes for granted."""
    simulator = Simulator("ring", seed=3, clock=lambda: datetime.now(UTC), defect_ratio=0.0, size_px=256)
    (tmp_path / "parts").mkdir()
    for index in range(8):
        (tmp_path / "parts" / f"{index:02}.jpg").write_bytes(simulator.frame(index).encoded)
    monkeypatch.chdir(tmp_path)
    return simulator


@pytest.fixture
def one_bank(monkeypatch: pytest.MonkeyPatch) -> list[Bank]:
    """The example runs twice over the same pictures: their bank, which lies here, is built once."""
    banks: list[Bank] = []

    def built(*arguments: Any, **named: Any) -> Bank:  # noqa: ANN401 -- whatever the example says
        if not banks:
            banks.append(build_bank(*arguments, **named))
        return banks[0]

    monkeypatch.setattr("softpatch.build_bank", built)
    return banks


@pytest.mark.slow
def test_the_library_example_builds_a_bank_and_tells_bad_from_good(
    parts: Simulator, one_bank: list[Bank], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture it was built from passes; a picture of another part fails."""
    (tmp_path / "example.py").write_text(blocks("python")[0])
    verdicts = []
    stranger = Simulator("gear", seed=3, clock=parts.clock, size_px=256)
    for picture in ((tmp_path / "parts" / "03.jpg").read_bytes(), stranger.frame(0).encoded):
        (tmp_path / "new.jpg").write_bytes(picture)
        runpy.run_path("example.py")
        verdicts.append(capsys.readouterr().out)
    assert verdicts == ["pass\n", "fail\n"]
    assert [bank.manifest.frame_names for bank in one_bank] == [[f"{index:02}.jpg" for index in range(8)]]


def test_the_settings_example_is_valid(tmp_path: Path) -> None:
    """And says what the text around it says."""
    path = tmp_path / "patchline.yaml"
    path.write_text(blocks("yaml")[0])
    assert yaml.safe_load(path.read_text())
    settings = read_settings(path, {})
    assert settings.training_of("line-3/top").build.geometry.mode == "letterbox"
    assert settings.training_of("line-1/top").build.geometry is None


def test_every_command_it_names_exists() -> None:
    """A README that names a command of yesterday sends people away."""
    named = {shlex.split(line)[1] for line in re.findall(r"(?m)^    (?:\.venv/bin/)?(patchline [\w-]+.*)$", README)}
    named |= set(re.findall(r"`patchline ([\w-]+)", README))
    assert {"demo", "build", "score", "camera", "topics", "up", "bank"} <= named
    assert named <= {entry.name for entry in COMMANDS}


def test_its_table_has_every_command() -> None:
    """A command that is not in the table is not found by who reads it."""
    table = [line for line in README.splitlines() if line.startswith("| `patchline ")]
    named = {name for line in table for name in re.findall(r"`patchline ([\w-]+)", line)}
    assert named == {entry.name for entry in COMMANDS}


def test_the_files_it_links_to_exist() -> None:
    """Relative links only."""
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).is_file(), target
