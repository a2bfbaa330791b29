"""The pinned packages of each GPU extra fit together: what ONNX Runtime's providers need, one of them brings."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SETS = ("gpu", "gpu-cu12")
OF_THE_SYSTEM = {  # libcuda is the driver's
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libcuda.so.1",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
}


def wheels(extra: str) -> dict[str, Any]:
    """What `read_wheels` found in the real wheels."""
    table: dict[str, Any] = json.loads((Path(__file__).parent / "gpu_libraries" / f"{extra}.json").read_text())
    return table


def pins(extra: str) -> dict[str, str]:
    """The versions that the set pins beside those of constraints.txt."""
    lines = (ROOT / f"constraints-{extra}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


@pytest.mark.parametrize("extra", SETS)
def test_the_libraries_were_read_from_the_pinned_versions(extra: str) -> None:
    """Who changes a pin reads the wheels again: make gpu-libraries."""
    read = {name: package["version"] for name, package in wheels(extra)["packages"].items()}
    assert read == pins(extra)


@pytest.mark.parametrize("extra", SETS)
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_every_library_that_a_provider_needs_is_brought_by_a_pinned_package(extra: str, provider: str) -> None:
    """By the very name that it looks for, with the number of its interface: libnvinfer.so.11 is no libnvinfer.so.10."""
    found = wheels(extra)
    brought = {library for package in found["packages"].values() for library in package["libraries"]}
    needed = set(found["providers"][f"libonnxruntime_providers_{provider}.so"])
    assert needed - OF_THE_SYSTEM, "a provider that needs nothing of a GPU was not read"
    assert needed - OF_THE_SYSTEM - brought == set()


@pytest.mark.parametrize("extra", SETS)
def test_the_pins_are_what_the_extra_asks_for(extra: str) -> None:
    """And the other way round: nothing that the extra names goes unpinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(each) for each in project["optional-dependencies"][extra]]
    own = {canonicalize_name(name): version for name, version in pins(extra).items()}
    own |= {canonicalize_name(name): version for name, version in pins_of_all().items() if name not in own}
    for each in asked:
        version = own.get(canonicalize_name(each.name))
        assert version is not None, each
        assert each.specifier.contains(version), each


@pytest.mark.export
def test_torch_asks_for_the_cuda_of_the_set() -> None:
    """The library that one of them loaded first is the other's, too."""
    pytest.importorskip("torch", reason="needs the export extra")
    assert version("torch").split("+")[0] == pins_of_all()["torch"]
    here = {"platform_system": "Linux", "sys_platform": "linux", "platform_machine": "x86_64"}
    extras = ("cublas", "cudart", "cufft", "curand", "nvrtc")
    asked = [(each, "") for each in map(Requirement, requires("torch") or [])]
    asked += [(each, extra) for extra in extras for each in map(Requirement, requires("cuda-toolkit") or [])]
    taken = [one for one, extra in asked if one.marker is None or one.marker.evaluate({**here, "extra": extra})]
    held = [one for one in taken if one.name in pins("gpu")]
    assert {one.name for one in held} == {name for name in pins("gpu") if name.startswith("nvidia-")}
    assert [one for one in held if not one.specifier.contains(pins("gpu")[one.name])] == []


def pins_of_all() -> dict[str, str]:
    """The versions of constraints.txt, which both sets include."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.mark.parametrize("extra", SETS)
def test_a_set_is_of_one_cuda(extra: str) -> None:
    """Two of them in one process are two of every library, of which the loader takes the first."""
    suffix = {"gpu": "12", "gpu-cu12": "13"}[extra]
    assert [name for name in pins(extra) if name.endswith(f"cu{suffix}")] == []
