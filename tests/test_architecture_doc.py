"""docs/architecture.md and CONTRIBUTING.md name what exists, and architecture.md leaves out no room, topic or rule."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from ingest.kafka.topics import TOPICS
from trainer.window import WindowIndex

ROOT = Path(__file__).parents[1]
PACKAGES = ("softpatch", "ingest", "trainer", "inference", "monitoring", "deploy")
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()

DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)}|tests)(?:\.\w+)+")
PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|txt|yaml)|Makefile")


VIEW = "line/camera"
"""How a view is written; no path."""


def spans(page: str) -> list[str]:
    """What stands between single backticks, outside of blocks of code."""
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def named(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Page and span of all spans that are nothing but what the pattern says, each once."""
    return sorted(
        {(page, span) for page in PAGES for span in spans(page) if pattern.fullmatch(span)}
        - {(page, VIEW) for page in PAGES}
    )


def resolves(name: str) -> bool:
    """Whether `package.module.Class.method` exists."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if _is_module(module):
            return _has(import_module(module), parts[end:])
    return False


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _has(found: object, attributes: list[str]) -> bool:
    for attribute in attributes:
        if not hasattr(found, attribute):
            return False
        found = getattr(found, attribute)
    return True


@pytest.mark.parametrize(("page", "name"), named(DOTTED))
def test_what_a_page_names_in_code_exists(page: str, name: str) -> None:
    """Module, class, function or method, by its full name."""
    assert resolves(name), f"{page} names {name}"


@pytest.mark.parametrize(("page", "path"), named(PATH))
def test_a_path_that_a_page_names_exists(page: str, path: str) -> None:
    """From the root of the repository."""
    assert (ROOT / path).exists(), f"{page} names {path}"


@pytest.mark.parametrize("name", ["trainer.window.nothing", "softpatch.nowhere.fit", "trainer.window.Change.frames_"])
def test_a_name_that_does_not_exist_is_found_out(name: str) -> None:
    """Without this the checks above could pass on everything."""
    assert not resolves(name)
    assert resolves("trainer.window.WindowIndex.to_bytes")
    assert hasattr(WindowIndex, "to_bytes")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Relative ones, to a file that is there."""
    text = (ROOT / page).read_text()
    targets = [each for each in re.findall(r"\]\(([^)#]+)", text) if "://" not in each]
    assert [each for each in targets if not (ROOT / page).parent.joinpath(each).exists()] == []


def test_every_target_of_make_that_a_page_names_exists() -> None:
    """In prose or in a block of commands."""
    text = "".join((ROOT / page).read_text() for page in PAGES)
    named_targets = set(re.findall(r"(?:`|^    )make (\w+)", text, flags=re.MULTILINE))
    assert {"quick", "check", "test"} <= named_targets
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert sorted(named_targets - targets) == []


def test_every_room_is_on_the_map() -> None:
    """Each folder with Python modules, by its path."""
    rooms = {f"{found.parent.relative_to(ROOT)}/" for each in PACKAGES for found in (ROOT / each).rglob("__init__.py")}
    assert sorted(rooms - set(spans("docs/architecture.md"))) == []


def test_every_topic_is_on_the_map() -> None:
    """In the table of topics, once."""
    rows = re.findall(r"^\| `([a-z.-]+)` \| (?:camera|view) \|", ARCHITECTURE, flags=re.MULTILINE)
    assert sorted(rows) == sorted(topic.name for topic in TOPICS)


def test_the_import_rules_are_those_that_are_checked() -> None:
    """All of import-linter's contracts by their names, in their order, and no other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    section = ARCHITECTURE.split("## Import rules")[1].split("##")[0]
    assert re.findall(r"^- (.+)$", section, flags=re.MULTILINE) == [each["name"] for each in contracts]
