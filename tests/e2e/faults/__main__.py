"""The long run: every fault alone, on a broker and a stream of its own, again and again, into a ledger.

`make faults TRIALS=5 LEDGER=faults.jsonl`; what is in the ledger already is not tried again. `--only` narrows by name,
`--table` tries nothing and prints the table of what the ledger holds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.brokers import KafkaBroker
from tests.e2e.faults.catalog import FAULTS
from tests.e2e.faults.fault import tried
from tests.e2e.faults.ledger import enter, entries, table, to_try
from tests.e2e.faults.rig import SETTINGS, Rig
from tests.e2e.services import Services

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 3


@contextmanager
def a_rig(kafka_home: Path, folder: Path) -> Iterator[Rig]:
    """A rig on a broker of its own, all of it running; nothing is left of it."""
    broker = KafkaBroker(kafka_home, folder / "kafka").start()
    try:
        with Services(folder, broker.settings(partitions=PARTITIONS), over=SETTINGS) as services:
            services.run("topics", "create")
            with Rig(services, broker) as rig:
                yield rig
    finally:
        broker.resume()
        broker.kill()


def main() -> int:
    """Try what is left to try; exit code 1 where anything was lost, doubled or wrong."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--trials", type=int, default=5)
    asked.add_argument("--ledger", type=Path, required=True)
    asked.add_argument("--only", default="", help="faults whose name contains this")
    asked.add_argument("--table", action="store_true", help="only print the table")
    options = asked.parse_args()
    if options.table:
        print(table(entries(options.ledger)))  # noqa: T201 -- what it is for
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # on the way out everything it started is stopped
    home = os.environ.get("PATCHLINE_TEST_KAFKA_HOME")
    if not home:
        print("set PATCHLINE_TEST_KAFKA_HOME to an Apache Kafka distribution", file=sys.stderr)  # noqa: T201
        return 2
    names = [name for name in FAULTS if options.only in name]
    for name, seed in to_try(names, options.trials, entries(options.ledger)):
        with TemporaryDirectory() as folder, a_rig(Path(home), Path(folder)) as rig:
            trial = tried(FAULTS[name], rig, seed)
        enter(options.ledger, trial)
        print(trial, flush=True)  # noqa: T201 -- the run is long
    done = entries(options.ledger)
    print(table(done))  # noqa: T201 -- what it is for
    return int(any(each.lost or each.doubled or each.wrong for each in done))


if __name__ == "__main__":
    sys.exit(main())
