"""An installation without internet: the wheels that `make wheelhouse` laid down are all that is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WHEELS = os.environ.get("PATCHLINE_TEST_WHEELHOUSE")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(WHEELS is None, reason="PATCHLINE_TEST_WHEELHOUSE is not set: `make wheelhouse` makes the folder")
def test_patchline_installs_from_its_wheels_alone(tmp_path: Path) -> None:
    """No index is asked, and the command runs."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    bin_folder = tmp_path / "venv" / "bin"
    pip = [str(bin_folder / "pip"), "install", "--quiet", "--no-compile", "--no-index", "--find-links", str(WHEELS)]
    subprocess.run([*pip, "patchline[cpu]"], check=True, timeout=600)
    shown = subprocess.run(
        [str(bin_folder / "patchline"), "topics", "--help"], check=True, timeout=120, capture_output=True, text=True
    )
    assert "create" in shown.stdout
