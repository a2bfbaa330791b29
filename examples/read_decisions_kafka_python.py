"""Reads decisions with kafka-python and prints what the line should do with each part, once.

python read_decisions_kafka_python.py 127.0.0.1:9092 [number of decisions to stop after]
"""

import json
import sys
from collections import OrderedDict

from kafka import KafkaConsumer

REMEMBERED = 100_000
WHAT_TO_DO = {"pass": "let the part go", "fail": "take the part out", "undecided": "hold the part for a person"}


def main(servers: str, stop_after: int | None) -> None:
    consumer = KafkaConsumer(
        "decisions",
        bootstrap_servers=servers,
        group_id="example-plc",
        isolation_level="read_committed",  # what an aborted transaction wrote was never decided
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    seen: OrderedDict[str, None] = OrderedDict()
    for record in consumer:
        decision = json.loads(record.value)
        if decision["id"] not in seen:  # a frame that was sent twice is decided twice, under one id
            seen[decision["id"]] = None
            if len(seen) > REMEMBERED:
                seen.popitem(last=False)
            # What is absent was not known: a frame without a score has no "score", a part without a number no serial.
            serial, reason = decision.get("part_serial", "-"), decision.get("reason", "")
            print(decision["view"], serial, decision["verdict"], reason, WHAT_TO_DO[decision["verdict"]], flush=True)
        consumer.commit()  # after it was acted on: a restart repeats it rather than losing it
        if stop_after is not None and len(seen) >= stop_after:
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
