"""What `patchline bench --against-published` prints, and what it says where PyTorch is missing."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

import deploy.bench
from deploy.commands.bench import bench, comparison_table
from deploy.errors import UsageError


def test_without_pytorch_the_published_pipeline_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of the base installation."""
    for module in ("deploy.bench.against_published", "deploy.bench.published"):
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.delattr(deploy.bench, module.rpartition(".")[2], raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"torch is missing.*pip install 'patchline\[export,evaluate\]'"):
        bench(against_published=True)


def test_the_table_gives_both_pipelines_and_how_many_times_faster_ours_is() -> None:
    """Seconds and milliseconds, of a build and of a frame."""
    ours = {"build_seconds": {"whole": 2.0, "embedding": 1.5, "lof": 0.2, "coreset": 0.3}}
    ours["frame_seconds"] = {"whole": 0.05, "network": 0.03, "search": 0.02}
    theirs = {key: {name: 3 * value for name, value in group.items()} for key, group in ours.items()}
    measured = {
        "machine": {"cpu": "a processor", "cores": 2, "cpu_flags": ["avx2"], "load_before": 0.1},
        "graph": "wide_resnet50_2",
        "provider": "cpu",
        "threads": 2,
        "input_px": [224, 224],
        "frames": 100,
        "bank": [7840, 1024],
        "frames_alone": 20,
        "embedding_difference": 0.002,
        "score_correlation": 0.97,
        "patchline": ours,
        "published": theirs,
    }
    output = io.StringIO()
    Console(file=output, width=160).print(comparison_table(measured))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.getvalue().splitlines() if "│" in line]
    assert ["build of 100 frames", "6.0 s", "2.0 s", "3.0"] in rows
    assert ["a frame alone", "150.0 ms", "50.0 ms", "3.0"] in rows
    assert "differ by at most 0.2 %" in output.getvalue()
