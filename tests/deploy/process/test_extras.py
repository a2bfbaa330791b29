"""Two runtimes under one import name are refused."""

from __future__ import annotations

import pytest

from deploy.errors import CommandFailed
from deploy.process.extras import installed, refuse_both


@pytest.mark.parametrize("pair", [("onnxruntime", "onnxruntime-gpu"), ("faiss-cpu", "faiss-gpu-cu12")])
def test_the_extras_exclude_each_other(pair: tuple[str, str]) -> None:
    """One sentence that names both and what to do; one of them alone is well."""
    with pytest.raises(CommandFailed, match=rf"{pair[0]} and {pair[1]} .* patchline\[gpu\] and patchline\[gpu-cu12\]"):
        refuse_both(pair.__contains__)
    for one in pair:
        refuse_both({one}.__contains__)


def test_what_is_installed_is_asked_of_the_environment() -> None:
    """Names of distributions, not of modules."""
    assert installed("pytest")
    assert not installed("no-such-distribution")
