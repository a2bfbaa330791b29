"""The AsyncAPI document: generated from the contracts, current, and valid by AsyncAPI's own parser."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from ingest.asyncapi import document
from ingest.kafka.topics import TOPICS
from tests.conftest import folder_from

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "asyncapi.json"


def test_the_committed_document_is_the_generated_one() -> None:
    """`python -m ingest.asyncapi > docs/asyncapi.json` after a change of a contract."""
    assert json.loads(DOCUMENT.read_text()) == document(version("patchline"))


def test_every_topic_is_a_channel_and_every_reference_leads_somewhere() -> None:
    """No topic is left out, and nothing points at nothing."""
    described = document("1")
    assert set(described["channels"]) == {topic.name for topic in TOPICS}
    for reference in references(described):
        part = described
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]


def references(part: object) -> set[str]:
    """Every $ref below `part`."""
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references(value) for value in part.values()))
    return set().union(*(references(value) for value in part)) if isinstance(part, list) else set()


@pytest.mark.node
def test_asyncapis_own_parser_accepts_it() -> None:
    """`PATCHLINE_TEST_NODE_MODULES` is a node_modules folder with @asyncapi/parser in it."""
    modules = folder_from("PATCHLINE_TEST_NODE_MODULES")
    node = shutil.which("node") or pytest.fail("node is not on PATH")
    script = Path(__file__).with_name("validate_asyncapi.mjs")
    run = subprocess.run([node, script, modules, DOCUMENT], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
