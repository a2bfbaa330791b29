"""`patchline train`: the trainer, as a process of its own."""

from prometheus_client import CollectorRegistry

from deploy.chosen_network import graph_of, network_of_builds
from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.process.service import begin_service
from trainer.wiring import serve


def train(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the trainer: it rebuilds each view's bank from its recent frames."""
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("train")
    serve(
        loaded.trainer,
        kafka=loaded.kafka,
        store_url=loaded.store.url,
        graph=graph_of(loaded.runtime),
        network=network_of_builds(loaded),
        training_of=loaded.training_of,
        images=loaded.images,
        claims=claims_of(loaded),
        stop=stop,
        registry=CollectorRegistry(),
    )
