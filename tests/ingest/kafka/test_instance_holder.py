"""Whose member counts as another process, and how a person hears of it; the rest is tried in test_members."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from ingest.kafka.instance_holder import Holder, client_id


def holder(name: str) -> Holder:
    """A member of this client id."""
    return Holder(name, "10.0.0.4")


@pytest.mark.process
def test_we_are_no_other_and_neither_is_who_has_ended_here() -> None:
    """A restart finds its predecessor in the group until its session ends."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    assert not holder(client_id()).is_other
    assert not holder(f"patchline:{socket.gethostname()}:{ended.pid}").is_other


def test_a_process_that_runs_here_or_is_of_another_machine_is_another() -> None:
    """So is a member that is none of ours."""
    here = holder(f"patchline:{socket.gethostname()}:{os.getppid()}")
    assert here.is_other
    assert here.words == f"process {os.getppid()} on {socket.gethostname()} (10.0.0.4)"
    assert holder("patchline:pc-4.plant:7").is_other
    assert holder("patchline:pc-4.plant:7").words == "process 7 on pc-4.plant (10.0.0.4)"
    assert holder("kafka-python-3.0.12").is_other
    assert holder("kafka-python-3.0.12").words == "kafka-python-3.0.12 (10.0.0.4)"
