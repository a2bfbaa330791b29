"""The first minutes on a machine with a GPU: `python -m tests.bench.gpu_first_contact [--json FILE] [--seconds 480]`.

Measures part by part, in order of value, what docs/performance.md has no figures of, and prints each table once it is
there. torch and NumPy are enough for the first parts; those of the product need Patchline's dependencies, those of
TensorRT, CUDA and FAISS one of its GPU extras. A part that lacks something, fails, or comes after the time is out says
so, and the others go on. `--small` measures next to nothing, to see that everything runs: also on a CPU.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import gpu_parts
from tests.bench.gpu_parts import SMALL, Device, Measured, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PRODUCT = ("onnxruntime", "faiss", "numba", "cv2", "pydantic")
SEARCH = ("torch", "faiss", "jaxtyping")


@dataclass(frozen=True)
class Part:
    """A function of a module that measures, and the modules without which it cannot."""

    module: str
    function: str
    needs: tuple[str, ...]

    def measured(self, device: Device) -> Measured:
        """Its table, or one that says why there is none."""
        missing = [name for name in self.needs if find_spec(name) is None]
        if missing:
            return self._none(f"not installed: {', '.join(missing)}")
        try:
            measure: Callable[[Device], Measured] = getattr(importlib.import_module(self.module), self.function)
            return measure(device)
        except Exception as error:  # noqa: BLE001 - whatever a driver or a library raises, the other parts go on
            return self._none(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")

    def skipped(self) -> Measured:
        """Where the time is out."""
        return self._none("left out: no time")

    def _none(self, why: str) -> Measured:
        return Measured(self.function.replace("_", " "), ("not measured",), [(why,)])


TORCH, OURS = gpu_parts.__name__, "tests.bench.gpu_product_parts"
PARTS = (
    Part(TORCH, "versions", ("torch",)),
    Part(TORCH, "ceilings", ("torch",)),
    Part(TORCH, "search_parity", SEARCH),
    Part(OURS, "networks", PRODUCT),
    Part(TORCH, "search_sweep", SEARCH),
    Part(TORCH, "search_stages", SEARCH),
    Part(OURS, "frame_to_score", (*PRODUCT, "torch")),
    Part(OURS, "decoding", (*PRODUCT, "torch")),
    Part(TORCH, "resident_views", SEARCH),
    Part(TORCH, "swapped_banks", SEARCH),
    Part(OURS, "faiss_search", PRODUCT),
    Part(OURS, "probes", (*PRODUCT, "torch")),
    Part(TORCH, "wide_network", (*SEARCH, "torchvision")),
    Part(OURS, "builds", PRODUCT),
)


def measured(device: Device, seconds: float) -> Iterator[Measured]:
    """Every part's table; none begins after that many seconds."""
    until = time.monotonic() + seconds
    for part in PARTS:
        yield part.measured(device) if time.monotonic() < until else part.skipped()


def as_markdown(table: Measured) -> str:
    """As docs/performance.md takes it."""
    lines = [f"**{table.title}**", "", _line(table.columns), _line(["---"] * len(table.columns))]
    return "\n".join([*lines, *(_line(row) for row in table.rows), ""])


def _line(cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def device_here() -> str:
    """`cuda` where torch sees a GPU."""
    if find_spec("torch") is None:
        return "cpu"
    return "cuda" if importlib.import_module("torch").cuda.is_available() else "cpu"


def main() -> None:
    """Measure and print; write the file after each part, so that nothing is lost where the machine is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--seconds", type=float, default=480.0)
    arguments.add_argument("--small", action="store_true")
    given = arguments.parse_args()
    device = Device(device_here(), SMALL if given.small else Sizes())
    tables = []
    for table in measured(device, given.seconds):
        tables.append(asdict(table))
        print(as_markdown(table), flush=True)  # noqa: T201 - this is what it is for
        if given.json is not None:
            given.json.write_text(json.dumps({"device": device.name, "tables": tables}, indent=1, default=str))


if __name__ == "__main__":
    main()
