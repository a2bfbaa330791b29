"""`patchline warm-up`: the engines of the banks in force, compiled beforehand; nothing where there is no TensorRT."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deploy.commands import warm_up
from ingest.bank_state import BankInForce, BankState
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_to_bytes, bank_version
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.deploy.annotations import view_state
from tests.inference.sample_bank import sample_bank
from tests.softpatch.network.gpu_sessions import OfTensorrt, gpu_session

if TYPE_CHECKING:
    from pathlib import Path

    from softpatch.bank import Bank
    from tests.command_line import Run

VIEWS = ("line-1/camera-1", "line-1/camera-2")


@pytest.fixture
def bank() -> Bank:
    """Of Lite0."""
    return sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))


@pytest.fixture
def store(tmp_path: Path, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two views whose banks want the same embedded; one of them tries another bank, whose file is gone."""
    data, folder = bank_to_bytes(bank), tmp_path / "store"
    states: dict[str, BankState] = {}
    for view in VIEWS:
        path = bank_path(view, bank_version(data))
        FsspecStore.open(str(folder)).put(path, data)
        active = BankInForce(version=bank_version(data), uri=path, graph_hash=lite0().hash, threshold=3.5)
        gone = active.model_copy(update={"uri": bank_path(view, "0" * 64)})
        states[view] = view_state(view=view, active=active, shadow=gone)
    monkeypatch.setattr(warm_up, "view_states", lambda _: states)
    return folder


def warmed(run: Run, store: Path, *flags: str) -> tuple[int, str, dict[str, object]]:
    """Exit code, what was printed, and what was written for scripts."""
    report = store.parent / "report.json"
    settings = {"store.url": store, "runtime.engine_cache": store.parent / "engines", "inference.batch_frames": "4"}
    arguments = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    ended = run("warm-up", "--json", str(report), *arguments, *flags)
    return ended.code, ended.out + ended.err, json.loads(report.read_text())


def test_on_the_cpu_there_is_nothing_to_compile(run: Run, store: Path) -> None:
    """And that is well."""
    code, said, report = warmed(run, store, "--set", "runtime.provider=cpu", "--set", "runtime.threads=1")
    assert code == 0
    assert "nothing to compile: the network runs on cpu, fp32" in said
    assert report == {"provider": "cpu", "compiled_seconds": {}, "refused": {}}


def test_each_input_of_the_banks_in_force_is_compiled_once(
    run: Run, store: Path, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two views, one engine, and the one by which TensorRT proves itself; the second time all are there."""
    gpu_session(monkeypatch, OfTensorrt)
    manifest = bank.manifest
    size = f"{manifest.geometry.width_px}x{manifest.geometry.height_px} px"
    wanted = f"{manifest.features} of {size}"
    code, said, report = warmed(run, store)
    assert code == 0
    assert f"compiling {wanted}, up to 4 frames, fp16, which takes minutes" in said
    assert f"ready: {wanted} (line-1/camera-1, line-1/camera-2)" in said
    assert report["provider"] == "tensorrt"
    assert f"{wanted}, up to 4 frames, fp16" in report["compiled_seconds"]  # type: ignore[operator] # a dict
    code, said, report = warmed(run, store)
    assert (code, report["compiled_seconds"]) == (0, {})
    assert "compiling" not in said


def test_an_input_that_does_not_run_there_ends_it_badly(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason: an inspection would refuse the bank."""

    class TooLarge(OfTensorrt):
        """All but the input by which TensorRT proves itself."""

        def run_with_iobinding(self, binding: object, run_options: object = None) -> None:
            """Out of memory."""
            if "224x224" not in self.arguments["provider_options"][0]["trt_profile_max_shapes"]:
                raise RuntimeError("CUDA failure 2: out of memory")
            super().run_with_iobinding(binding, run_options)

    gpu_session(monkeypatch, TooLarge)
    code, said, report = warmed(run, store)
    assert code == 1
    assert "out of memory" in said
    assert len(report["refused"]) == 1  # type: ignore[arg-type] # a dict
