"""A `patchline demo --keep` as a process: a whole line with its console, for browsers to look at."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.e2e.services import PATCHLINE, environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 600.0
"""Until the first reject is recorded: two cores may be busy with other tests."""
VIEW = "demo/camera-1"


@dataclass
class RunningDemo:
    """The line; leaving it ends its processes."""

    folder: Path
    process: subprocess.Popen[bytes]
    address: str = ""
    password: str = ""

    @classmethod
    def start(cls, folder: Path, arguments: Sequence[str] = ()) -> Self:
        """Start it, and wait until the console shows a reject with its picture."""
        log = folder / "demo.log"
        with log.open("wb") as lines:
            command = [PATCHLINE, "demo", "--keep", "--out", folder / "out", *arguments]
            process = subprocess.Popen(command, stdout=lines, stderr=lines, cwd=folder, env=environment())
        demo = cls(folder, process)
        ends = time.monotonic() + START_SECONDS
        while not demo._shows_a_reject(log):
            if process.poll() is not None or time.monotonic() > ends:
                demo.stop()
                raise RuntimeError(f"the demo shows no reject; it said:\n{log.read_text(errors='replace')}")
            time.sleep(0.5)
        return demo

    @property
    def settings_file(self) -> Path:
        """What its services read."""
        return self.folder / "out" / "patchline.yaml"

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)

    def _shows_a_reject(self, log: Path) -> bool:
        said = re.search(r"Console: (http://\S+)\s+\(.* password (\S+)\)", log.read_text(errors="replace"))
        if said is None:
            return False
        self.address, self.password = said[1], said[2]
        try:
            with urlopen(f"{self.address}/view/frames?name={VIEW}&verdict=fail", timeout=20) as answer:  # noqa: S310 -- the demo's own address
                return "/heat.png" in answer.read().decode()
        except (URLError, OSError):
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
