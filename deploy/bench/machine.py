"""What a measurement was made on: without it a number means nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from softpatch.threads import available_cores

PACKAGES = (
    "patchline",
    "numpy",
    "onnxruntime",
    "faiss-cpu",
    "opencv-python-headless",
    "kafka-python",
    "crc32c",
    "numba",
)
FLAGS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
)
"""Instruction sets that the network and the search choose their code by."""
CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, object]:
    """Processor with its instruction sets, cores, load, system and versions."""
    text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""
    return {
        "cpu": cpu_model(text) or platform.processor(),
        "cpu_flags": cpu_flags(text),
        "cores": available_cores(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def cpu_model(cpuinfo: str) -> str:
    """The processor's name in `/proc/cpuinfo`; empty where it gives none."""
    return next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")


def cpu_flags(cpuinfo: str) -> list[str]:
    """Those of our instruction sets that `/proc/cpuinfo` lists."""
    found = next((line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return [flag for flag in FLAGS if flag in found]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
