"""Dashboards: files as generated, queries about what services show, in PromQL that Prometheus can read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitoring.dashboards.files import DASHBOARDS, text_of
from monitoring.dashboards.panel import Dashboard, Panel, Query, grafana_json
from tests.deploy.prometheus.queries import declared, names_in, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def as_prometheus_gets_it(expression: str) -> str:
    """Grafana puts values where its variables stand."""
    return expression.replace("$__rate_interval", "1m").replace("$view", "line-1/top")


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of every file, with the panel it belongs to."""
    for file in FILES:
        document = json.loads(file.read_text())
        for panel in document["panels"]:
            for target in panel["targets"]:
                yield f"{document['uid']}: {panel['title']}", as_prometheus_gets_it(target["expr"])
        for variable in document["templating"]["list"]:
            if variable["type"] == "query":
                (inside,) = re.findall(r"label_values\((.*), \w+\)", variable["query"])
                yield f"{document['uid']}: ${variable['name']}", inside


def test_files_are_as_generated() -> None:
    """`python -m monitoring.dashboards deploy/grafana/dashboards` brings them up to date."""
    assert {file.name: file.read_text() for file in FILES} == {f"{one.uid}.json": text_of(one) for one in DASHBOARDS}


@pytest.mark.parametrize(("panel", "expression"), list(expressions()))
def test_a_query_asks_for_what_services_show(panel: str, expression: str) -> None:
    """A renamed metric or label would leave a panel empty, which looks like a line that is well."""
    assert problems(expression) == [], panel
    assert "$" not in expression, panel


@pytest.mark.process
def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    """As recording rules, so that Prometheus' own parser judges them without a server."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    rules = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression) in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ran = subprocess.run(
        [promtool, "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_metric_of_the_services_is_on_some_dashboard() -> None:
    """What nobody can see might as well not be measured."""
    shown = {name for _, expression in expressions() for name in names_in(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | shown
    assert declared() - families == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_lie_side_by_side_and_explain_themselves(file: Path) -> None:
    """No panel covers another or leaves the 24 columns, and each has a title of its own and a sentence."""
    panels = json.loads(file.read_text())["panels"]
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in panels) <= 24
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["description"].endswith(".") for panel in panels)


def test_a_panel_is_what_grafana_expects() -> None:
    """A table asks for an instant, a graph for a range; the data source is chosen on the page."""
    page: dict[str, Any] = grafana_json(
        Dashboard("u", "T", (Panel("a", "A.", (Query("up"),), kind="table"), Panel("b", "B.", (Query("up"),))))
    )
    table, graph = (panel["targets"][0] for panel in page["panels"])
    assert (table["instant"], table["range"], table["format"]) == (True, False, "table")
    assert (graph["instant"], graph["range"], graph["format"]) == (False, True, "time_series")
    assert page["templating"]["list"][0]["type"] == "datasource"
    assert page["panels"][0]["datasource"]["uid"] == "${datasource}"


def test_provisioning_names_what_is_there() -> None:
    """Grafana finds a Prometheus and a folder of dashboards."""
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/patchline.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "${PROMETHEUS_URL}")
    assert provider["type"] == "file"
    assert len(FILES) == 4
