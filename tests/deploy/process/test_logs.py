"""The logs of a service."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.process
def test_a_log_record_is_one_line_of_keys_and_values() -> None:
    """Tracebacks and library logs included: a collector reads line by line."""
    code = (
        "import logging, structlog\n"
        "from deploy.process.logs import configure_logs\n"
        "configure_logs('train')\n"
        "structlog.get_logger().info('bank built', view='l/c', patches=4, provisional=True, owned=['a', 'b'])\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger().exception('oops')\n"
        "logging.getLogger('lib').warning('two\\nlines')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == ""
    built, oops, library = answer.stderr.splitlines()
    assert built.endswith('level=info service=train event="bank built" view=l/c patches=4 provisional=true owned=a,b')
    assert "ZeroDivisionError: division by zero" in oops
    assert library.endswith("level=warning service=train event=two\\nlines")


@pytest.mark.process
def test_quiet_logs_let_only_warnings_through() -> None:
    """A command for people speaks for itself."""
    code = (
        "import structlog\n"
        "from deploy.process.logs import configure_logs\n"
        "configure_logs('demo', quiet=True)\n"
        "log = structlog.get_logger()\n"
        "log.info('noise'); log.warning('kafka_client', message='noise'); log.warning('matters')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line.split("event=")[1] for line in answer.stderr.splitlines()] == ["matters"]
