"""A process that answers frames until it is ended: `python -m tests.ingest.kafka.member SETTINGS_JSON PAUSE_SECONDS`.

Exit code 3 says that it was fenced.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from ingest.kafka.errors import Aborted, Fenced
from ingest.kafka.settings import KafkaSettings
from tests.ingest.kafka.streams import answer, open_loop

if TYPE_CHECKING:
    from ingest.kafka.transactions import TransactionLoop

FENCED = 3


def main(settings: KafkaSettings, pause_seconds: float) -> int:
    """Poll, take some time, commit; until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open_loop(settings) as loop:
        print(loop.taken_over, flush=True)  # noqa: T201 -- the same
        while not stop.is_set():
            try:
                _step(settings, loop, pause_seconds)
            except Aborted:
                continue
            except Fenced as error:
                print(error, flush=True)  # noqa: T201 -- for the test to read
                return FENCED
    return 0


def _step(settings: KafkaSettings, loop: TransactionLoop, pause_seconds: float) -> None:
    records = loop.poll(0.1, room=8)
    time.sleep(pause_seconds)
    loop.commit([answer(settings, record) for record in records])


if __name__ == "__main__":
    sys.exit(main(KafkaSettings.model_validate_json(sys.argv[1]), float(sys.argv[2])))
