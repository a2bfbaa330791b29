"""Services by deploy/compose.yml that Prometheus and Alertmanager watch, the alarms they raise, and cameras."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import yaml

from deploy.local_stack.sending import send_all
from ingest.cameras.faults import Knock
from ingest.cameras.lighting import Lighting
from ingest.cameras.simulator import Simulator
from ingest.frame import FRAME_ID, SEQUENCE
from ingest.kafka.records import Outgoing
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.writers import KafkaSender
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ingest.cameras.faults import Fault
    from ingest.cameras.source import CameraFrame
    from tests.e2e.composed import Composed
    from tests.e2e.services import Service

SHORTER = 60
"""What is a minute in rules.yml and alertmanager.yml is a second here: `for`, `keep_firing_for`, each group's waits."""
SCRAPE_SECONDS = 1.0
SERVED_AT = {
    "train": "train:9402",
    "inspect": "inspect:9401",
    "watch": "watch:9403",
    "record": "record:9405",
    "camera": "camera:9404",
}
"""Our services, with the address of each one's metrics."""
LEARNING = {
    "first_build_frames": 60,
    "window_frames": 60,
    "window_span_frames": 60,
    "rebuild_every_frames": 100_000,
    "provisional_interval_ratio": 1000.0,
    "deadline_seconds": 600,
    "build": {
        "coreset_cap": 600,
        "detection_plants": 40,
        "geometry": {"mode": "squash", "height_px": 128, "width_px": 128},
    },
}
"""One bank, soon built, and no other one while the test runs: what it sees must not become what it was taught. No frame
is late: a busy machine must not turn verdicts into `undecided`."""
STEADY = Lighting(drift_ratio=0.0, tilt_ratio=0.0)
"""A lamp that does not age within the test: a bank of 60 frames would rightly call that a change."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"^(\d+)([smh])$")


def shortened(text: object) -> str:
    """A duration of Prometheus, a sixtieth of it, in milliseconds."""
    found = DURATION.match(str(text))
    assert found is not None, text
    return f"{int(found[1]) * UNITS[found[2]] / SHORTER * 1000:.0f}ms"


class Pager:
    """An alarm receiver: every message of Alertmanager, as it came. Use it as a context manager."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _receiving(self.messages))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="pager", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def alerts(self, status: str, **labels: str) -> list[dict[str, Any]]:
        """The alerts it received, `firing` or `resolved`, with these labels among theirs."""
        alerts = [alert for message in list(self.messages) for alert in message["alerts"]]
        return [each for each in alerts if each["status"] == status and labels.items() <= each["labels"].items()]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _receiving(messages: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
            """Say nothing."""

    return Handler


@dataclass
class Camera:
    """A simulated camera on a thread of its own: whatever `fault` is set to happens to its frames from then on."""

    kafka: KafkaSettings
    key: str
    rate_per_second: float
    seed: int
    defect_ratio: float = 0.1
    fault: Fault | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def _frames(self) -> Iterator[CameraFrame]:
        simulator = Simulator(
            "ring",
            seed=self.seed,
            clock=lambda: datetime.now(UTC),
            defect_ratio=self.defect_ratio,
            size_px=256,
            lighting=STEADY,
        )
        for frame in simulator:
            if self._stop.is_set():
                return
            fault = self.fault
            yield frame if fault is None else fault(frame)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=send_all,
            args=(self.kafka, self.key, self._frames()),
            kwargs={"rate_per_second": self.rate_per_second},
            name=self.key,
            daemon=True,
        )
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)


KNOCK = Knock(shift_xy_px=(14.0, -9.0), turn_degrees=4.0)


def send_odd_records(kafka: KafkaSettings, key: str) -> None:
    """What a healthy line does not send: a torn picture, one nobody signed, one twice, and a gap in the numbers."""
    topic, start = kafka.topic("frames"), uuid4()
    picture = Simulator("ring", seed=9, clock=lambda: datetime.now(UTC), size_px=128).frame(0).encoded

    def record(number: int, *, value: bytes = picture, by: bytes | None = key.encode()) -> Outgoing:
        headers = ((FRAME_ID, f"{start}-{number}".encode()), (SEQUENCE, str(number).encode()))
        return Outgoing(topic, by, value, headers)

    with KafkaSender.open(kafka, writes=(topic,)) as sender:
        for each in (
            record(0),
            record(0),
            record(1, value=picture[: len(picture) // 2]),
            record(2, by=None),
            record(9),
        ):
            sender.send_and_wait(each, 30)


@dataclass
class WatchedLine:
    """compose.yml's services as processes, Grafana apart, with what is to be shortened for a test shortened."""

    composed: Composed
    pager: Pager
    running: dict[str, Service] = field(default_factory=dict)

    @property
    def kafka(self) -> KafkaSettings:
        """For cameras outside the composed services."""
        return KafkaSettings(bootstrap_servers=f"127.0.0.1:{self.composed.port('kafka:9092')}")

    @property
    def prometheus_url(self) -> str:
        """Of its Prometheus."""
        return f"http://127.0.0.1:{self.composed.port('prometheus:9090')}"

    def start(self, kafka_home: Path) -> Self:
        """Kafka, topics, our services, Prometheus and Alertmanager, each as compose.yml says."""
        self.composed.broker(kafka_home)
        topics = self.composed.patchline("topics")
        assert topics.process.wait(60) == 0, topics.logged
        for name in SERVED_AT:
            self._learn_little(name)
            self.running[name] = self.composed.patchline(name)
        self._shorten()
        for name, address in (("alertmanager", "alertmanager:9093"), ("prometheus", "prometheus:9090")):
            self.running[name] = self.composed.of_prometheus(name, address)
        return self

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        """Look again and again; no service may have ended meanwhile."""

        def looked() -> bool:
            for service in self.running.values():
                assert service.process.poll() is None, service.logged
            return happened()

        wait_until(looked, what)

    def _learn_little(self, name: str) -> None:
        """patchline.yaml as mounted, with views that learn once."""
        self._edit(name, "etc/patchline/patchline.yaml", lambda document: document["views"]["*"].update(LEARNING))

    def _shorten(self) -> None:
        """Prometheus' and Alertmanager's own files, each wait a sixtieth, addresses as they are here."""
        self._edit("prometheus", "etc/prometheus/prometheus.yml", _often)
        self._edit("prometheus", "etc/prometheus/rules.yml", _impatient)
        self._edit("alertmanager", "etc/alertmanager/alertmanager.yml", lambda said: _prompt(said, self.pager.url))
        for file in ("services", "cameras", "alertmanagers"):
            path = self.composed.root("prometheus") / f"etc/prometheus/targets/{file}.yml"
            path.write_text(self.composed.rewritten("prometheus", path.read_text()))

    def _edit(self, name: str, file: str, change: Callable[[Any], object]) -> None:
        path = self.composed.root(name) / file
        document = yaml.safe_load(path.read_text())
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))


def _often(prometheus: dict[str, Any]) -> None:
    prometheus["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{SCRAPE_SECONDS:g}s")


def _impatient(rules: dict[str, Any]) -> None:
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.update({name: shortened(rule[name]) for name in ("for", "keep_firing_for") if name in rule})


def _prompt(alertmanager: dict[str, Any], pager_url: str) -> None:
    for route in (alertmanager["route"], *alertmanager["route"]["routes"]):
        for wait in ("group_wait", "group_interval"):
            if wait in route:
                route[wait] = shortened(route[wait])
    alertmanager["receivers"][0]["webhook_configs"][0]["url"] = pager_url
