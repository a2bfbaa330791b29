"""`patchline watch`: the drift service, as a process of its own."""

from threading import Event

from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load


def watch(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Watch for drift: it follows the decisions on every view and says in words when the line has changed."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 -- a service's libraries load when one starts

    from deploy.process.logs import configure_logs  # noqa: PLC0415
    from deploy.process.signals import stop_on_signals  # noqa: PLC0415
    from deploy.wiring import store_of  # noqa: PLC0415
    from monitoring.watch.service import serve  # noqa: PLC0415

    configure_logs("watch")
    stop = Event()
    stop_on_signals(stop)
    loaded = load(settings, flags, bootstrap=bootstrap)
    serve(loaded.watch, kafka=loaded.kafka, store=store_of(loaded), stop=stop, registry=CollectorRegistry())
