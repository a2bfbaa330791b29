"""Reads decisions with confluent-kafka (librdkafka, as C, C++, Go and .NET clients use it), once each.

python read_decisions_confluent.py 127.0.0.1:9092 [number of decisions to stop after]
"""

import base64
import json
import sys
from collections import OrderedDict

from confluent_kafka import Consumer, KafkaException

REMEMBERED = 100_000


def worst_place(decision: dict) -> str:
    """Row and column of the patch that scored most, from the map's bytes: one byte a patch, row by row."""
    small = decision.get("anomaly_map")
    if small is None:
        return ""
    scores = base64.b64decode(small["values_base64"])
    row, column = divmod(scores.index(max(scores)), small["columns"])
    return f"worst at row {row} of {small['rows']}, column {column} of {small['columns']}"


def main(servers: str, stop_after: int | None) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "example-mes",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["decisions"])
    seen: OrderedDict[str, None] = OrderedDict()
    while stop_after is None or len(seen) < stop_after:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        decision = json.loads(message.value())
        if decision["id"] not in seen:
            seen[decision["id"]] = None
            if len(seen) > REMEMBERED:
                seen.popitem(last=False)
            print(decision["view"], decision["frame_id"], decision["verdict"], worst_place(decision), flush=True)
        consumer.commit(message, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
