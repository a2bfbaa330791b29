"""`patchline train` and `patchline inspect`: one service each, as a process of its own."""

from threading import Event

from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load


def train(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the trainer: it keeps a window of every view and rebuilds its bank from it."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 -- a service's libraries load when one starts

    from deploy.process.logs import configure_logs  # noqa: PLC0415
    from deploy.process.signals import stop_on_signals  # noqa: PLC0415
    from deploy.wiring import graph_of  # noqa: PLC0415
    from trainer.service import serve  # noqa: PLC0415

    configure_logs("train")
    stop = Event()
    stop_on_signals(stop)
    loaded = load(settings, flags, bootstrap=bootstrap)
    serve(
        loaded.trainer,
        kafka=loaded.kafka,
        store_url=loaded.store.url,
        graph=graph_of(loaded.runtime),
        provider=loaded.runtime.provider,
        training_of=loaded.training_of,
        stop=stop,
        registry=CollectorRegistry(),
    )


def inspect(*, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None) -> None:
    """Run the inspection: it decides every frame by the bank in force, exactly once."""
    from deploy.process.logs import configure_logs  # noqa: PLC0415 -- a service's libraries load when one starts
    from deploy.process.signals import stop_on_signals  # noqa: PLC0415
    from deploy.wiring import embedder_of, search_of, store_of  # noqa: PLC0415
    from inference.service import serve  # noqa: PLC0415

    configure_logs("inspect")
    stop = Event()
    stop_on_signals(stop)
    loaded = load(settings, flags, bootstrap=bootstrap)
    serve(
        kafka=loaded.kafka,
        settings=loaded.inference,
        inspection_of=loaded.inspection_of,
        embedder=embedder_of(loaded.runtime),
        store=store_of(loaded),
        stop=stop,
        make_search=search_of(loaded.runtime),
    )
