"""`patchline inspect`: the inference service, as a process of its own."""

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.process.service import begin_service
from deploy.wiring import opened_network, search_of
from inference.wiring import serve
from ingest.store import FsspecStore


def inspect(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the inspection: it decides every frame by the bank in force.

    Each frame gets exactly one decision, through kills and restarts.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("inspect")
    search = search_of(loaded.runtime)
    serve(
        kafka=loaded.kafka,
        settings=loaded.inference,
        inspection_of=loaded.inspection_of,
        open_network=lambda compiling: opened_network(
            loaded.runtime,
            batch_frames=loaded.inference.batch_frames,
            compiling=compiling,
            on_device=search.on_device,
        ),
        store=FsspecStore.open(loaded.store.url),
        images=loaded.images,
        claims=claims_of(loaded),
        stop=stop,
        make_search=search.make,
    )
