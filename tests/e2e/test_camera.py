"""`patchline camera` as a process on a real Apache Kafka."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from deploy.local_stack.outcomes import end_offsets
from tests.brokers import free_port
from tests.e2e.services import Services, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.brokers import KafkaBroker


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_that_is_told_to_stop_says_how_many_frames_are_in_the_topic(
    kafka_broker: KafkaBroker, tmp_path: Path, how: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM in the middle: it used to die with frames on their way."""
    with Services(tmp_path, kafka_broker.settings()) as services:
        services.run("topics", "create")
        port = str(free_port())
        camera = services.start("camera", "line/top", "--simulate", "ring", "--rate", "40", "--metrics-port", port)
        wait_until(lambda: sum(end_offsets(services.kafka).values()) > 0, "a frame in the topic")
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as metrics:
            assert 'patchline_camera_frames_sent_total{view="line/top"}' in metrics.read().decode()
        camera.process.send_signal(how)
        assert camera.process.wait(60) == 0, camera.logged
        assert f"{sum(end_offsets(services.kafka).values())} frames in " in camera.logged
        assert "Traceback" not in camera.logged
