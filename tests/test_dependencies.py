"""What pyproject.toml asks of other people's packages."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_a_package_whose_private_parts_are_used_is_bounded_above() -> None:
    """A new minor release of kafka-python may change them without notice: the broker would be the first to tell."""
    required = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
    kafka = required["kafka-python"].specifier
    assert "3.0.12" in kafka
    assert "3.1.0" not in kafka
