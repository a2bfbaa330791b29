"""What `import softpatch` gives, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import softpatch

CHECK = "import sys, softpatch; print(sorted({'onnxruntime', 'faiss', 'numba', 'cv2', 'numpy'} & sys.modules.keys()))"


def test_every_exported_name_is_the_one_its_module_defines() -> None:
    """All of `__all__`, and nothing else under that mechanism."""
    assert set(softpatch.__all__) == set(softpatch._MODULES)
    for name in softpatch.__all__:
        value = getattr(softpatch, name)
        assert (value.__module__, value.__name__) == (softpatch._MODULES[name], name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=r"^module 'softpatch' has no attribute 'no_such_name'$"):
        getattr(softpatch, "no_such_name")  # noqa: B009 - mypy knows that the name is missing


@pytest.mark.process
def test_importing_it_loads_no_heavy_library() -> None:
    """A process that needs only the images or the bank file pays for no runtime."""
    loaded = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
