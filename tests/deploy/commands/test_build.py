"""`patchline build`: a bank file from a folder, and what is shown of the work."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import structlog

from deploy.commands.build import build
from softpatch.bank import bank_from_bytes, bank_version
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SMALL = "views.*.build={geometry: {mode: squash, height_px: 64, width_px: 64}, coreset_cap: 200}"


def test_a_folder_becomes_a_bank_and_every_stage_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bank is of these pictures; each stage leaves a line; the JSON has the facts of the file."""
    folder, out, document = tmp_path / "parts", tmp_path / "new" / "bank.safetensors", tmp_path / "facts.json"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    flags = ["runtime.provider=cpu", "runtime.threads=1", SMALL]
    with structlog.testing.capture_logs():
        build(folder=folder, out=out, view="line-1/top", flags=flags, json=document)
    data = out.read_bytes()
    bank, facts, text = bank_from_bytes(data), json.loads(document.read_text()), capsys.readouterr().out
    assert bank.manifest.frame_names == [f"{number}.jpg" for number in range(8)]
    assert (facts["version"], facts["view"], facts["frames"]) == (bank_version(data), "line-1/top", 8)
    assert re.findall(r"✓ Build: (\w+)", text) == ["embed", "denoise", "subsample", "calibrate"]
    assert f"Next: patchline score IMAGE --bank {out}" in text
