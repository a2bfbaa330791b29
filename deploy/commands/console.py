"""`patchline console`: the pages, as a process of its own."""

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.process.service import begin_service
from ingest.store import FsspecStore
from monitoring.console.service import serve


def console(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the console: pages over the history, and buttons for answers.

    It shows what `patchline record` keeps; patchline users makes the accounts for its buttons.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("console")
    serve(
        loaded.console,
        database=loaded.record.database,
        kafka=loaded.kafka,
        store=FsspecStore.open(loaded.store.url),
        claims=claims_of(loaded),
        stop=stop,
    )
