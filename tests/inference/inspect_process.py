"""The inference service as a process that tests can kill: `python -m tests.inference.inspect_process`.

Arguments: Kafka settings, inference settings (both JSON), and the store's folder. SIGTERM drains.
"""

from __future__ import annotations

import json
import signal
import sys
from threading import Event

from inference.network import OpenedNetwork
from inference.settings import InferenceSettings, ViewInspection
from inference.wiring import serve
from ingest.decoding import ImageSettings
from ingest.kafka.settings import KafkaSettings
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.scoring.search import FlatSearch
from tests.ingest.no_claims import NO_CLAIMS


def main(kafka: str, inference: str, folder: str) -> None:
    """Serve until SIGTERM."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    serve(
        kafka=KafkaSettings.model_validate(json.loads(kafka)),
        settings=InferenceSettings.model_validate(json.loads(inference)),
        inspection_of=lambda _: ViewInspection(deadline_seconds=60),
        open_network=lambda _: OpenedNetwork(OnnxEmbedder.open(lite0(), provider="cpu", threads=1), ""),
        store=FsspecStore.open(folder),
        images=ImageSettings(),
        claims=NO_CLAIMS,
        stop=stop,
        make_search=lambda vectors: FlatSearch(vectors, threads=1),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
