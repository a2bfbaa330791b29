"""`patchline watch`: the drift service, as a process of its own."""

from prometheus_client import CollectorRegistry

from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.process.service import begin_service
from ingest.store import FsspecStore
from monitoring.watch.service import serve


def watch(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the drift watch: it reports when a line has changed, and how.

    It follows the decisions on every view.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("watch")
    serve(
        loaded.watch,
        kafka=loaded.kafka,
        store=FsspecStore.open(loaded.store.url),
        stop=stop,
        registry=CollectorRegistry(),
    )
