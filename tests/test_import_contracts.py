"""The import contracts of pyproject.toml cover every module, those that are added later too."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PACKAGES = ("softpatch", "ingest", "trainer", "inference", "monitoring", "deploy")
MAY_IMPORT_TORCH = {
    "softpatch.network.export",
    "softpatch.network.torch_embed",
    "softpatch.network.vision_transformer",
    "softpatch.scoring.torch_score",
    "softpatch.scoring.torch_search",
}


def modules(package: str) -> set[str]:
    """The dotted names of a package's modules."""
    files = (ROOT / package).rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files if path.name != "__init__.py"}


def contract(name: str) -> dict[str, list[str]]:
    """The one contract whose name begins so."""
    (found,) = (each for each in CONTRACTS if each["name"].startswith(name))
    return found


def within(module: str, packages: list[str]) -> bool:
    """Whether it is one of them or in one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_forbidden_torch_but_those(package: str) -> None:
    """A new module of softpatch must be listed as a source of the contract."""
    sources = contract("torch and timm only")["source_modules"]
    missing = {module for module in modules(package) if not within(module, sources)} - MAY_IMPORT_TORCH
    assert not missing, f"list {sorted(missing)} as sources of the contract on torch in pyproject.toml"
    assert not any(within(module, sources) for module in MAY_IMPORT_TORCH)


def test_the_pure_rooms_of_the_evaluation_may_import_no_other_module_of_it() -> None:
    """A new module beside them must be listed as forbidden."""
    pure = contract("protocol, methods and results of the evaluation are pure")
    others = {each for each in modules("deploy") if each.startswith("deploy.evaluation.")}
    others = {each for each in others if not within(each, pure["source_modules"])}
    assert others == {each for each in pure["forbidden_modules"] if each.startswith("deploy.evaluation.")}
