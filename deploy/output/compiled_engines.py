"""What TensorRT compiles while a command runs, said on the terminal: it takes minutes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from softpatch.network.engines import Engine


class CompiledEngines:
    """The engines that were compiled, with the seconds that each took; says when one begins and ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def compiling(self, engine: Engine) -> Iterator[None]:
        """See `softpatch.network.engines.Compiling`."""
        self._console.print(f"compiling {engine}, which takes minutes", highlight=False)
        began = time.monotonic()
        yield
        self.seconds[str(engine)] = seconds = round(time.monotonic() - began, 1)
        self._console.print(f"compiled {engine} in {seconds} s", highlight=False)
