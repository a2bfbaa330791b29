"""Which package brings each library that ONNX Runtime's providers need.

    python -m tests.deploy.gpu_libraries.read_wheels SET

SET is `gpu` or `gpu-cu12`. Downloads the pinned wheels, 2 to 3 GB, one by one, reads each and deletes it; prints JSON,
which is kept beside this file: `make gpu-libraries` writes both anew. Needs pyelftools.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).parents[3]
LIBRARY = re.compile(r"^lib[\w.+-]+\.so(\.\d+)*$")
PROVIDERS = ("libonnxruntime_providers_cuda.so", "libonnxruntime_providers_tensorrt.so")
BINDINGS = "tensorrt.so"


class Read(NamedTuple):
    """The libraries in a package, and what some files of it need."""

    libraries: list[str]
    needs: dict[str, list[str]]


def pins(constraints: Path) -> dict[str, str]:
    """The versions that a file of constraints names itself, by package; not those of a file that it includes."""
    lines = [line.split("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)


def needed(library: bytes) -> list[str]:
    """The libraries that one names as needed."""
    dynamic = ELFFile(io.BytesIO(library)).get_section_by_name(".dynamic")
    return sorted(tag.needed for tag in dynamic.iter_tags("DT_NEEDED"))


def read(name: str, version: str) -> Read:
    """What is in a package; nothing in one that has no wheel."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", folder, f"{name}=={version}"], check=True)
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            return Read([], {})
        with zipfile.ZipFile(wheels[0]) as wheel:
            files = {Path(each).name: each for each in wheel.namelist()}
            looked_at = [each for each in (*PROVIDERS, BINDINGS) if each in files]
            needs = {each: needed(wheel.read(files[each])) for each in looked_at}
            return Read(sorted(each for each in files if LIBRARY.match(each)), needs)


def read_wheels(constraints: Path) -> dict[str, object]:
    """What the providers need, and the libraries in each package.

    TensorRT's libraries are fetched from NVIDIA's own index while their package is installed; what they are called, its
    bindings of the same version say, which need them.
    """
    versions = pins(constraints)
    found = {name: read(name, version) for name, version in versions.items() if not name.endswith("-libs")}
    needs = {file: needs for each in found.values() for file, needs in each.needs.items()}
    of_tensorrt = [each for each in needs[BINDINGS] if each.startswith("libnv")]
    brought = {name: found[name].libraries if name in found else of_tensorrt for name in versions}
    return {
        "providers": {provider: needs[provider] for provider in PROVIDERS},
        "packages": {name: {"version": versions[name], "libraries": brought[name]} for name in versions},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read_wheels(ROOT / f"constraints-{sys.argv[1]}.txt"), indent=2) + "\n")
