"""`patchline up`: every service on this machine, from one patchline.yaml, until it is stopped."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry
from rich.console import Console

from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load, settings_file
from deploy.errors import CommandFailed, UsageError
from deploy.local_stack.embedded_broker import EmbeddedBroker
from deploy.local_stack.supervisor import Program, Supervisor, WillNotRun
from deploy.local_stack.supervisor_health import SupervisorReporting, readiness_of
from deploy.process.service import begin_service
from deploy.settings import Settings, UpSettings
from ingest.kafka.connecting import addresses
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.topics import create_topics
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_up

SERVICES = ("train", "inspect", "watch", "record", "console")
SILENCE_SECONDS = 60.0
LOOPBACK = ("127.0.0.1", "localhost")

Ephemeral = Annotated[
    bool, typer.Option("--ephemeral", help="Start a broker too: in memory, for trials; needs the demo extra.")
]
WILL_BE_LOST = (
    "[yellow]--ephemeral:[/] the broker keeps everything in memory. When this command ends, every frame, decision, "
    "bank state and command in it is lost; bank files and windows stay in {store}. It never frees memory, and it "
    "keeps no promise of exactly once. For a line, use a Kafka of your own."
)


def up(
    *,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    ephemeral: Ephemeral = False,
) -> None:
    """Run all services on this machine, and start again what dies.

    It waits for a broker. Ctrl-C or SIGTERM stops the services in order.
    """
    if ephemeral and bootstrap:
        raise UsageError("--ephemeral starts a broker of its own; leave --bootstrap-servers away")
    loaded = load(settings, flags, bootstrap=bootstrap)
    stop = begin_service("up")
    with ExitStack() as stack:
        supervisor = Supervisor()
        looked = _health(stack, loaded.up, supervisor)
        if ephemeral:
            bootstrap = _broker(stack, loaded.kafka.bootstrap_servers)
            loaded = load(settings, flags, bootstrap=bootstrap)
            Console(stderr=True).print(WILL_BE_LOST.format(store=loaded.store.url))
            structlog.get_logger().info("broker_started", bootstrap_servers=bootstrap)
        try:
            create_topics(loaded.kafka, give_up_seconds=None, stop=stop)
        except BrokerUnreachable:
            if stop.is_set():  # stopped while it waited
                return
            raise
        stack.enter_context(supervisor)
        for program in programs(settings_file(settings), flags or (), bootstrap=bootstrap):
            supervisor.start(replace(program, health_port=_health_port(loaded, program.name)))
        try:
            supervisor.watch(stop, looked=looked)
        except WillNotRun as error:
            raise CommandFailed(str(error)) from None


def programs(
    file: Path | None, flags: Sequence[str], *, bootstrap: str | None, log_folder: Path | None = None
) -> list[Program]:
    """The command line of every service: the same settings, read the same way."""
    arguments = ["--settings", str(file)] if file else []
    for flag in flags:
        arguments += ["--set", flag]
    if bootstrap:
        arguments += ["--bootstrap-servers", bootstrap]
    return [
        Program(
            name=service,
            arguments=[sys.executable, "-m", "deploy.cli", service, *arguments],
            environ=dict(os.environ),
            log_file=log_folder / f"{service}.log" if log_folder else None,
        )
        for service in SERVICES
    ]


def _health_port(loaded: Settings, service: str) -> int | None:
    """Where a service has its /healthz; None where it has none, or on a port that only it knows."""
    ports = {
        "train": loaded.trainer.metrics_port,
        "inspect": loaded.inference.metrics_port,
        "watch": loaded.watch.metrics_port,
        "record": loaded.record.metrics_port,
    }
    return ports.get(service) or None


def _health(stack: ExitStack, settings: UpSettings, supervisor: Supervisor) -> Callable[[], None]:
    """Serve the health pages; what is returned is to be called after each round of the supervisor."""
    registry = CollectorRegistry()
    reporting = SupervisorReporting(declare_up(registry))
    heartbeat = Heartbeat(limit_seconds=SILENCE_SECONDS, clock=time.monotonic)
    host, port = settings.metrics_host, settings.metrics_port

    def ready() -> Readiness:
        return readiness_of(supervisor.states())

    def looked() -> None:
        heartbeat.beat()
        reporting.show(supervisor.states())

    stack.enter_context(HealthServer(registry=registry, heartbeat=heartbeat, ready=ready, port=port, host=host))

    return looked


def _broker(stack: ExitStack, servers: str) -> str:
    """Start it where the settings look for a broker, so that other commands find it without a flag."""
    (host, port), *others = addresses(servers)
    if others or host not in LOOPBACK:
        raise UsageError(f"--ephemeral starts a broker on this machine, but kafka.bootstrap_servers is {servers}")
    return stack.enter_context(EmbeddedBroker.start(port=port)).bootstrap_servers
