"""The folder of builds: a trainer that is killed leaves it, the next one removes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trainer.build_workdir import build_workdir, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDS = """
import sys, time
from pathlib import Path
from trainer.build_workdir import build_workdir
with build_workdir(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another trainer, in its folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_the_folder_is_gone_with_its_trainer(tmp_path: Path) -> None:
    """With all that is in it."""
    with build_workdir(tmp_path) as folder:
        (folder / "bank").write_bytes(b"half a bank")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_the_folder_of_a_killed_trainer_is_removed_by_the_next(
    tmp_path: Path, other: tuple[subprocess.Popen[str], Path]
) -> None:
    """Each kill -9 used to leave the graph and half a bank behind: crash loops filled the disk."""
    process, folder = other
    process.kill()
    process.wait(10)
    assert folder.exists()
    with build_workdir(tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.process
def test_the_folder_of_a_living_trainer_stays(tmp_path: Path, other: tuple[subprocess.Popen[str], Path]) -> None:
    """Two trainers share the folder for temporary files; what is no trainer's stays, too."""
    (tmp_path / "patchline-builds-new").mkdir()
    sweep(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"patchline-builds-new", other[1].name}
