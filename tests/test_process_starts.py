"""A test that starts a process has the mark that keeps it out of `make quick`."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.process
pytest_plugins = ["pytester"]

CONFTEST = """
from tests.process_starts import ProcessStarts

def pytest_configure(config):
    config.addinivalue_line("markers", "process: starts a process")
    config.addinivalue_line("markers", "kafka: starts a broker")
    config.pluginmanager.register(ProcessStarts())
"""

TESTS = """
import subprocess, sys, pytest

def start():
    subprocess.run([sys.executable, "-c", ""], check=True)

@pytest.fixture
def started():
    start()

def test_forgets_the_mark(): start()
def test_forgets_it_for_a_fixture(started): pass
def test_starts_none(): pass
@pytest.mark.process
def test_has_the_mark(): start()
@pytest.mark.kafka
def test_has_a_mark_that_implies_it(): start()
"""


def test_a_process_started_without_the_mark_fails_the_test(pytester: pytest.Pytester) -> None:
    """In the test or in a fixture; and selecting by the mark finds those whose other mark implies it."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=3, failed=2)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-m", "not process").assert_outcomes(
        passed=1, failed=2, deselected=2
    )
