"""The SoftPatch algorithm: a pure library without stream, clock or network.

The names below are what a program needs that builds a bank and scores frames. Each is imported when it is first used,
so that `import softpatch` loads neither ONNX Runtime nor FAISS.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softpatch.building.build import build_bank
    from softpatch.images.decode import decode
    from softpatch.network.embed import OnnxEmbedder
    from softpatch.network.graph import lite0
    from softpatch.scoring.score import Scorer
    from softpatch.scoring.search import FlatSearch
    from softpatch.settings import BuildSettings

__all__ = ["BuildSettings", "FlatSearch", "OnnxEmbedder", "Scorer", "build_bank", "decode", "lite0"]

_MODULES = MappingProxyType(
    {
        "BuildSettings": "softpatch.settings",
        "FlatSearch": "softpatch.scoring.search",
        "OnnxEmbedder": "softpatch.network.embed",
        "Scorer": "softpatch.scoring.score",
        "build_bank": "softpatch.building.build",
        "decode": "softpatch.images.decode",
        "lite0": "softpatch.network.graph",
    }
)


def __getattr__(name: str) -> object:
    """The exported name, imported from the module that defines it (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
