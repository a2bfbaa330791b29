"""Tests shared among forked workers are each run once, and each has its result."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.process
pytest_plugins = ["pytester"]

CONFTEST = """
from tests.forked_workers import ForkedWorkers

def pytest_configure(config):
    config.pluginmanager.register(ForkedWorkers(2))
"""

MIXED = """
import os, pytest

@pytest.fixture(scope="module")
def made_once(): return os.getpid()

def test_passes(made_once, tmp_path, capfd):
    (tmp_path / "own").mkdir()
    os.write(1, b"captured")
    assert capfd.readouterr().out == "captured"
    assert made_once == os.getpid() != PARENT

def test_fails(made_once):
    print("what it printed")
    assert made_once == 0

@pytest.mark.skip(reason="for a reason")
def test_is_skipped(): pass
"""

DIES = """
import os

def test_before(): pass
def test_dies(): os._exit(7)
def test_behind(): pass
"""


def outcome(pytester: pytest.Pytester, *flags: str) -> pytest.RunResult:
    """What a run of these tests in this process says."""
    pytester.makeconftest(CONFTEST)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *flags)


def test_what_runs_in_a_worker_is_reported_as_by_one_process(pytester: pytest.Pytester) -> None:
    """Passed, failed with what it printed, skipped with its reason; a file's tests share what they make."""
    import os  # noqa: PLC0415

    for name in ("test_a", "test_b", "test_c"):
        pytester.makepyfile(**{name: MIXED.replace("PARENT", str(os.getpid()))})
    told = outcome(pytester)
    told.assert_outcomes(passed=3, failed=3, skipped=3)
    assert told.ret == pytest.ExitCode.TESTS_FAILED
    told.stdout.fnmatch_lines(["what it printed", "*3 failed, 3 passed, 3 skipped in*"], consecutive=False)


def test_a_test_whose_worker_died_has_failed(pytester: pytest.Pytester) -> None:
    """It, and those of its file that did not run; the other files' tests run on the other worker."""
    pytester.makepyfile(test_a=DIES, test_b="def test_b(): pass", test_c="def test_c(): pass")
    told = outcome(pytester)
    told.assert_outcomes(passed=3, failed=2)
    told.stdout.fnmatch_lines(["*test_behind has no result: the worker that ran its file died"])


def test_the_first_failure_ends_the_run_where_it_is_asked_to(pytester: pytest.Pytester) -> None:
    """With `-x`; the workers that still run tests are stopped."""
    waits = "import time\ndef test_waits(): time.sleep(60)\n"
    pytester.makepyfile(test_a="def test_fails(): assert False", test_b=waits, test_c=waits)
    told = outcome(pytester, "-x")
    told.assert_outcomes(failed=1)
    assert told.ret == pytest.ExitCode.TESTS_FAILED
    assert told.duration < 30


def test_what_is_only_collected_is_not_run(pytester: pytest.Pytester) -> None:
    """And where nothing can be collected, pytest says so."""
    pytester.makepyfile(test_a="def test_a(): pass", test_b="def test_b(): pass")
    assert outcome(pytester, "--collect-only").ret == pytest.ExitCode.OK
    pytester.makepyfile(test_c="import no_such_module")
    assert outcome(pytester).ret == pytest.ExitCode.INTERRUPTED
