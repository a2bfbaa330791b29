"""The catalogue: every text of the console in each language, by key, from one file a language."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from monitoring.console.settings import Language

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "languages"
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Catalogue:
    """The texts of one language; call it with a key and the values of its placeholders."""

    def __init__(self, language: Language, texts: Mapping[str, str]) -> None:
        self.language = language
        self.texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """The text. Raises KeyError for a key that is in no catalogue: a page that names one is wrong."""
        return self.texts[key].format(**values)

    def word(self, group: str, value: str) -> str:
        """The text of one of a contract's words, as `reason.learning`; the word itself where it is a newer one."""
        return self.texts.get(f"{group}.{value.replace(' ', '_')}", value.replace("_", " "))


@lru_cache
def catalogue(language: Language) -> Catalogue:
    """The texts of a language."""
    document = yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    return Catalogue(language, dict(_flat(document)))


def preferred(accepted: str, default: Language) -> Language:
    """The first language of an Accept-Language header that there is."""
    for part in accepted.split(","):
        name = part.split(";")[0].strip().lower().split("-")[0]
        for language in LANGUAGES:
            if name == language:
                return language
    return default


def _flat(document: Mapping[str, Any], at: str = "") -> list[tuple[str, str]]:
    found = []
    for key, value in document.items():
        name = f"{at}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, str(value))]
    return found
