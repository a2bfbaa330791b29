"""The pictures of docs/dashboards.md: a line by deploy/compose.yml, as processes, to which things happen, then drawn.

    PATCHLINE_TEST_KAFKA_HOME=... python -m tests.bench.dashboard_pictures docs/dashboards

Three cameras beside the one of the profile `demo`: one is knocked and put back, the lamp of another fades and is
replaced, and a few records come that cannot be read.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ingest.cameras.faults import gain
from monitoring.dashboards import draw
from tests.e2e.composed import Composed
from tests.e2e.watched_line import KNOCK, SCRAPE_SECONDS, Camera, Pager, WatchedLine, send_odd_records

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES_PER_SECOND = 4.0
VIEWS = ("line-2/camera-1", "line-3/camera-1", "line-3/camera-2")


def happenings(line: WatchedLine, cameras: list[Camera]) -> list[tuple[float, Callable[[], object]]]:
    """What happens when, as a share of the whole time."""
    knocked, fading = cameras[0], cameras[1]
    odd = partial(send_odd_records, line.kafka, VIEWS[2])
    return [
        (0.40, odd),
        (0.45, odd),
        (0.50, partial(setattr, knocked, "fault", KNOCK)),
        (0.60, partial(setattr, fading, "fault", partial(gain, factor=0.85))),
        (0.65, partial(setattr, knocked, "fault", None)),
        (0.75, partial(setattr, fading, "fault", None)),
        (0.80, partial(line.composed.run, "train", "bank", "rollback", VIEWS[0])),
        (1.00, lambda: None),
    ]


def main() -> None:
    """Run the line, let things happen, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what it started ends with it
    with ExitStack() as stack:
        composed = stack.enter_context(Composed(Path(stack.enter_context(TemporaryDirectory()))))
        line = WatchedLine(composed, stack.enter_context(Pager()))
        line.start(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]))
        cameras = [
            stack.enter_context(Camera(line.kafka, view, FRAMES_PER_SECOND, seed)) for seed, view in enumerate(VIEWS)
        ]
        begun = time.time()
        for share, happen in happenings(line, cameras):
            time.sleep(max(0.0, begun + 60 * chosen.minutes * share - time.time()))
            happen()
        asked = ["--prometheus", line.prometheus_url, "--scrape-seconds", str(SCRAPE_SECONDS), "--view", VIEWS[0]]
        draw.main([str(chosen.folder), *asked, "--minutes", str(chosen.minutes)])


if __name__ == "__main__":
    main()
