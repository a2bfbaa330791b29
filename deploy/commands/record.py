"""`patchline record`: the recorder, as a process of its own."""

from prometheus_client import CollectorRegistry

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.process.service import begin_service
from ingest.store import FsspecStore
from monitoring.record.service import serve


def record(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the recorder: decisions into a database, pictures into the store.

    All rejects and undecided frames are kept with their pictures, and a sample of passes.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("record")
    serve(
        loaded.record,
        kafka=loaded.kafka,
        store=FsspecStore.open(loaded.store.url),
        claims=claims_of(loaded),
        stop=stop,
        registry=CollectorRegistry(),
    )
