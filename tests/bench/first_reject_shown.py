"""From the start of the demo to its first reject on a page: `python -m tests.bench.first_reject_shown`.

Runs what `make demo DEMO_FLAGS=--keep` runs once it is installed, and prints the seconds until the console has given
the page of rejects with a frame on it, its picture and its heat map.
"""

from __future__ import annotations

import os
import re
import sys
import time
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from tests.browser.running_demo import VIEW, RunningDemo


def main() -> None:
    """One demo with its defaults."""
    with TemporaryDirectory() as folder:
        begun = time.monotonic()
        with RunningDemo.start(Path(folder)) as demo:
            pictures = _pictures(demo.address)
            seconds = time.monotonic() - begun
        sys.stdout.write(
            f"first reject shown after {seconds:.1f} s ({', '.join(pictures)}), load {os.getloadavg()[0]:.1f}\n"
        )


def _pictures(address: str) -> list[str]:
    """The pictures of the newest reject, each fetched; their kinds and sizes."""
    with urlopen(f"{address}/view/frames?name={VIEW}&verdict=fail", timeout=20) as answer:  # noqa: S310 -- the demo's own
        sources = re.findall(r'<img [^>]*src="([^"]+)"', answer.read().decode())[:2]
    found = []
    for source in sources:
        with urlopen(f"{address}{unescape(source)}", timeout=20) as answer:  # noqa: S310 -- the same
            found.append(f"{answer.headers['content-type']} of {len(answer.read()):,} bytes")
    return found


if __name__ == "__main__":
    main()
