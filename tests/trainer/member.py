"""A trainer that runs until it is ended: `python -m tests.trainer.member KAFKA_JSON STORE TRAINER_JSON VIEW_JSON`."""

from __future__ import annotations

import signal
import sys
import threading

from prometheus_client import CollectorRegistry

from ingest.decoding import ImageSettings
from ingest.kafka.settings import KafkaSettings
from softpatch.network.graph import lite0
from tests.ingest.no_claims import NO_CLAIMS
from trainer.build_order import NetworkRun
from trainer.settings import TrainerSettings, ViewTraining
from trainer.wiring import serve


def main(kafka: str, store: str, trainer: str, view: str) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    training = ViewTraining.model_validate_json(view)
    serve(
        TrainerSettings.model_validate_json(trainer),
        kafka=KafkaSettings.model_validate_json(kafka),
        store_url=store,
        graph=lite0(),
        network=NetworkRun(provider="cpu"),
        training_of=lambda _: training,
        images=ImageSettings(),
        claims=NO_CLAIMS,
        stop=stop,
        registry=CollectorRegistry(),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
