"""Alert rules: right by Prometheus' own tool, about metrics that exist, each with a test and a page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.prometheus.queries import declared, exposed, names_in, problems

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy/prometheus/rules.yml"
UNIT_TESTS = Path(__file__).with_name("rules_test.yml")


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Every rule by its alert's name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@cache
def unit_tests() -> list[dict[str, Any]]:
    """The tests that promtool runs."""
    tests: list[dict[str, Any]] = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    return tests


@pytest.fixture
def promtool() -> str:
    """Prometheus' own checker."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return found


@pytest.mark.process
def test_promtool_runs_the_rules_through_their_tests(promtool: str) -> None:
    """Each alert is quiet on a line that is well, fires where it should, and says what its annotations promise."""
    ran = subprocess.run(
        [promtool, "test", "rules", UNIT_TESTS],
        env={**os.environ, "GOMAXPROCS": "1", "GOGC": "400"},  # its collector takes a fifth of it
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.process
def test_the_configuration_is_prometheus_own(promtool: str) -> None:
    """The settings file loads, with the rules it names."""
    config = ROOT / "deploy/prometheus/prometheus.yml"
    ran = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("alert", alerts())
def test_a_rule_asks_for_what_services_show(alert: str) -> None:
    """A metric renamed in monitoring/metrics/ would leave its alert silent for ever."""
    assert problems(alerts()[alert]["expr"]) == []


def test_a_metric_that_does_not_exist_is_found() -> None:
    """The check itself sees a wrong name, a wrong label, and a histogram read like a counter."""
    assert problems('sum by (camera) (rate(patchline_decided_total{line="1"}[5m]))') == [
        "no metric patchline_decided_total",
        "no label camera",
        "no label line",
    ]
    assert problems("patchline_score_ratio") == ["no metric patchline_score_ratio"]
    assert problems('sum by (view, le) (rate(patchline_score_ratio_bucket{job="x"}[5m]))') == []


def test_every_alert_fires_in_a_unit_test() -> None:
    """Prometheus' own tool passes an alert that nothing tests."""
    checks = [check for test in unit_tests() for check in test.get("alert_rule_test", ())]
    fired = {check["alertname"] for check in checks if check["exp_alerts"]}
    assert fired == alerts().keys()


def test_the_line_that_is_well_shows_all_that_alerts_look_at() -> None:
    """An alert is not quiet because its metric is missing from the test."""
    well = unit_tests()[0]
    shown = {name for series in well["input_series"] for name in names_in(series["series"])}
    assert shown >= {name for rule in alerts().values() for name in names_in(rule["expr"])}


@pytest.mark.slow
def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    """Meaning, check and fix under the alert's own name, where its runbook link leads."""
    sections = dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/operations.md").read_text(), re.MULTILINE | re.DOTALL)
    )
    assert sections.keys() == alerts().keys()
    for name, text in sections.items():
        assert alerts()[name]["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert re.search(r"\*\*Meaning\.\*\*", text), name
        assert re.search(r"\*\*Check( and fix)?\b", text), name
        assert re.search(r"\*\*Fix\.\*\*|\*\*Check and fix", text), name
        assert (
            f"[{name}](#{name.lower()}) | {alerts()[name]['labels']['severity']} |"
            in (ROOT / "docs/operations.md").read_text()
        )


def test_what_the_pages_name_exists() -> None:
    """Metrics in the text are declared; none is named that was removed."""
    named = names_in((ROOT / "docs/operations.md").read_text())
    assert named
    assert named <= declared() | exposed().keys()
