"""deploy/alertmanager/alertmanager.yml: right by Alertmanager's own tool, about alerts that exist, quiet in place."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml

from monitoring.metrics.values import UNDECIDED_REASONS
from tests.brokers import free_port
from tests.e2e.composed import debian_program
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy/alertmanager/alertmanager.yml"
MATCHER = re.compile(r'^(\w+)(=~|=)"(.*)"$')

Labels = dict[str, str]


def alerts() -> set[str]:
    """The names of all alerts."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def matchers() -> Iterator[tuple[str, str, str]]:
    """Label, operator and text of every matcher of every inhibit rule."""
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            found = MATCHER.match(matcher)
            assert found is not None, matcher
            yield found[1], found[2], found[3]


def test_inhibit_rules_speak_of_alerts_that_exist() -> None:
    """A renamed alert would leave its rule silencing nothing."""
    known = {"alertname": alerts(), "reason": set(UNDECIDED_REASONS)}
    known["job"] = {"patchline-inspect", "patchline-train", "patchline-watch", "patchline-record"}
    for label, operator, text in matchers():
        for name in text.split("|") if operator == "=~" else [text]:
            assert any(re.fullmatch(name, each) for each in known[label]), f"{label} {name}"


@pytest.fixture
def amtool() -> str:
    """Alertmanager's own checker."""
    found = which("amtool")
    if found is None:
        pytest.skip("amtool is not installed (Debian package prometheus-alertmanager)")
    return found


@pytest.mark.prometheus
def test_the_configuration_is_alertmanagers_own(amtool: str) -> None:
    """It loads, and whatever comes reaches the plant's receiver."""
    check = subprocess.run([amtool, "check-config", CONFIG], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr
    for severity in ("critical", "warning"):
        words = [amtool, "config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}", "view=l/c"]
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.split() == ["plant"]


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A real Alertmanager with our configuration; gives its address."""
    port = free_port()
    words = [f"--config.file={CONFIG}", f"--storage.path={folder}", "--cluster.listen-address="]
    command = [debian_program("alertmanager"), *words, f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answered(url: str, body: object = None) -> Any:  # noqa: ANN401 -- JSON
    """The answer to a GET, or to a POST of `body`; None while it does not run."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 -- our own process
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310 -- the same
            return json.loads(answer.read() or b"{}")
    except (URLError, OSError):
        return None


def quiet(url: str, alerts: list[Labels]) -> list[Labels]:
    """Which of these alerts are not sent because of another of them."""
    wait_until(lambda: answered(f"{url}/api/v2/status") is not None, "Alertmanager answering")
    assert answered(f"{url}/api/v2/alerts", [{"labels": labels} for labels in alerts]) is not None

    def seen() -> list[dict[str, Any]]:
        return list(answered(f"{url}/api/v2/alerts") or ())

    wait_until(
        lambda: len(seen()) == len(alerts) and all(each["status"]["state"] != "unprocessed" for each in seen()),
        "Alertmanager having looked at all alerts",
    )
    return [each["labels"] for each in seen() if each["status"]["inhibitedBy"]]


def alert(name: str, **labels: str) -> Labels:
    """The labels of an alert."""
    return {"alertname": f"Patchline{name}", **labels}


LATE = [
    alert("LineSilent", view="l/c"),
    alert("LatencyHigh", view="l/c"),
    alert("Undecided", view="l/c", reason="deadline"),
]


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("cause", "effects", "others"),
    [
        (
            alert("NoInspection"),
            [
                alert("ServiceDown", job="patchline-inspect"),
                alert("LineSilent", view="l/c"),
                alert("Undecided", view="l/c", reason="deadline"),
            ],
            [
                alert("InspectionLag", partition="3"),
                alert("CameraFrozen", view="l/c"),
                alert("Undecided", view="l/c", reason="no_score"),
                alert("ServiceDown", job="patchline-train"),
            ],
        ),
        (
            alert("ServiceDown", job="patchline-inspect", instance="a"),
            [],
            [alert("InspectionLag", partition="3"), *LATE],
        ),
        (alert("KafkaFailing", job="patchline-inspect", instance="a"), [], LATE),
        (alert("InspectionLag", partition="3"), [], LATE),
        (
            alert("ServiceDown", job="patchline-train"),
            [alert("LearningTooLong", view="l/c")],
            [alert("LineSilent", view="l/c")],
        ),
        (
            alert("DeadLetters", view="l/c"),
            [alert("Undecided", view="l/c", reason="dead_letter_rate")],
            [alert("Undecided", view="l/other", reason="dead_letter_rate")],
        ),
        (
            alert("CameraOutOfFocus", view="l/c"),
            [alert("FalseRejectDrift", view="l/c")],
            [alert("FalseRejectDrift", view="l/other"), alert("DeadLetters", view="l/c")],
        ),
        (
            alert("BankLost", view="l/c"),
            [alert("Undecided", view="l/c", reason="bank_refused")],
            [alert("Undecided", view="l/c", reason="no_score"), alert("GroupWaiting", view="l/c")],
        ),
        (
            alert("LineChanged", view="l/c"),
            [alert("FalseRejectDrift", view="l/c")],
            [alert("LensOrFixture", view="l/c"), alert("LineChanged", view="l/other")],
        ),
    ],
    ids=[
        "no inspection",
        "one inspection down",
        "one without Kafka",
        "one partition lags",
        "no trainer",
        "dead letters",
        "out of focus",
        "bank lost",
        "line changed",
    ],
)
def test_what_follows_from_an_alert_that_is_sent_stays_quiet(
    tmp_path: Path, cause: Labels, effects: list[Labels], others: list[Labels]
) -> None:
    """Its effects, and they alone: another view's alert, and one with a cause of its own, are sent."""
    with running(tmp_path) as url:
        found = quiet(url, [cause, *effects, *others])
    assert sorted(found, key=str) == sorted(effects, key=str)
