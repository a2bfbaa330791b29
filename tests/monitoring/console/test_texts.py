"""The catalogue: the same keys and placeholders in every language, and a text for every word of a contract."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from ingest.annotation import Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import ViewState
from ingest.decision import Reason, Verdict
from ingest.feedback import FeedbackKind
from monitoring.console.roles import Role
from monitoring.console.texts import LANGUAGES, catalogue, preferred
from monitoring.record.schema import PictureState
from monitoring.verdicts import DRIFT_VERDICTS
from softpatch.building.planted_defects import KINDS
from softpatch.images.input_faults import InputFault

TEMPLATES = sorted((Path(__file__).parents[3] / "monitoring/console/templates").glob("*.html"))
ENGLISH = catalogue("en").texts


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text(language: str) -> None:
    """And no other; each with the same placeholders, and none empty."""
    texts = next(catalogue(each) for each in LANGUAGES if each == language).texts
    assert texts.keys() == ENGLISH.keys()
    assert [key for key in texts if placeholders(texts[key]) != placeholders(ENGLISH[key])] == []
    assert all(texts.values())


@pytest.mark.parametrize("language", ["de", "zh"])
def test_texts_are_translated(language: str) -> None:
    """A text that was forgotten reads as in English; names and abbreviations may."""
    texts = next(catalogue(each) for each in LANGUAGES if each == language).texts
    same = [key for key in texts if texts[key] == ENGLISH[key] and len(texts[key].split()) > 1]
    assert same == []


def test_what_templates_name_is_in_the_catalogue() -> None:
    """And every text is used somewhere, in a template or by a prefix."""
    source = "".join(path.read_text() for path in TEMPLATES)
    code = "".join(path.read_text() for path in (TEMPLATES[0].parents[1]).rglob("*.py"))
    named = set(re.findall(r'\bt\("([a-z_.]+)"[,)]', source))
    assert named <= ENGLISH.keys()
    prefixes = set(re.findall(r'\bt\("([a-z_]+\.)" ~', source)) | {
        f"{each}." for each in re.findall(r't\.word\("(\w+)"', source)
    }
    used = named | set(re.findall(r'"([a-z_]+\.[a-z_]+)"', code + source))
    unused = [key for key in ENGLISH if key not in used and not any(key.startswith(prefix) for prefix in prefixes)]
    assert unused == []


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("verdict", list(Verdict)),
        ("reason", list(Reason)),
        ("state", list(ViewState)),
        ("fault", list(InputFault)),
        ("event", list(BankEventKind)),
        ("word_kind", list(FeedbackKind)),
        ("label", list(Label)),
        ("role", list(Role)),
        ("drift_verdict", list(DRIFT_VERDICTS)),
        ("planted_kind", list(KINDS)),
    ],
)
def test_every_word_of_a_contract_has_a_text(group: str, words: list[str]) -> None:
    """A new reason is shown in words from its first day."""
    assert {f"{group}.{word}" for word in words} == {key for key in ENGLISH if key.startswith(f"{group}.")}


def test_every_reason_says_what_the_line_should_do() -> None:
    """A row in docs/reading-decisions.md, for those who read decisions by a PLC."""
    page = (Path(__file__).parents[3] / "docs/reading-decisions.md").read_text()
    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in page] == []


def test_every_state_of_a_picture_but_kept_has_a_text() -> None:
    """What is kept is shown."""
    states = {f"picture.{each.value}" for each in PictureState} - {"picture.kept"}
    assert states <= ENGLISH.keys()


def test_the_browser_s_first_language_that_there_is_counts() -> None:
    """Else the plant's."""
    assert preferred("fr-FR,fr;q=0.9,zh-CN;q=0.8,en;q=0.7", "de") == "zh"
    assert preferred("fr", "de") == "de"
    assert preferred("", "en") == "en"
