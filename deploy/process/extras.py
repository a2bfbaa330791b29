"""The extras `cpu`, `gpu` and `gpu-cu12` share import names: with two installed, which one runs is chance."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from deploy.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = (("onnxruntime", "onnxruntime-gpu"), ("faiss-cpu", "faiss-gpu-cu12"))
"""Distributions that bring the same module, one of each extra."""


def installed(name: str) -> bool:
    """Whether this distribution is in the environment."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def refuse_both(is_installed: Callable[[str], bool] = installed) -> None:
    """Raise CommandFailed where both of a pair are installed."""
    for cpu, gpu in PAIRS:
        if is_installed(cpu) and is_installed(gpu):
            raise CommandFailed(
                f"{cpu} and {gpu} are both installed and share an import name: uninstall both, "
                "then install one of patchline[cpu], patchline[gpu] and patchline[gpu-cu12]"
            )
