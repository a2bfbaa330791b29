"""Views: what one memory bank belongs to, named by the frame's key and product."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, unquote

from pydantic import AfterValidator, StringConstraints

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARACTERS = 200
MAX_FILE_NAME_BYTES = 240
"""Of a view's percent-encoded name: disks take 255, and a folder that cannot be made would stop its trainer."""
CACHED_VIEWS = 4096
"""Views whose name is not checked and encoded anew with each of their messages."""
_KEY = re.compile(r"[^@\x00-\x1f\x7f]{1,200}")
_PRODUCT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class BadViewName(ValueError):
    """A key or product that cannot name a view."""


def view_name(key: str, product: str | None = None) -> str:
    """The view of a frame with this key and product.

    Raises BadViewName for an empty or overlong name, control characters, or an `@` in the key: it parts the two.
    """
    if not _KEY.fullmatch(key):
        raise BadViewName(f"key {key[:40]!r} must be 1 to {MAX_CHARACTERS} characters like line/camera, without @")
    if product is not None and not _PRODUCT.fullmatch(product):
        raise BadViewName(f"product {product[:40]!r} must be 1 to {MAX_CHARACTERS} printable characters")
    view = key if product is None else f"{key}@{product}"
    if (size := len(file_name(view))) > MAX_FILE_NAME_BYTES:
        raise BadViewName(
            f"view {view[:40]!r} takes {size} bytes as a file name, {MAX_FILE_NAME_BYTES} fit: shorten key or product "
            "(a character beyond ASCII takes up to 12)"
        )
    return view


@lru_cache(CACHED_VIEWS)
def checked_view(view: str) -> str:
    """The view as it is. Raises BadViewName where no frame's key and product would give it."""
    key, at, product = view.partition("@")
    return view_name(key, product if at else None)


ViewName = Annotated[
    str,
    StringConstraints(pattern=r"^[^@\x00-\x1f\x7f]+(@[^\x00-\x1f\x7f]+)?$", max_length=401),
    AfterValidator(checked_view),
]
"""`line/camera`, or `line/camera@product`; what is none is refused by every message as `view_name` refuses it."""


def camera_key(view: str) -> str:
    """The Kafka key (`line/camera`) of a view's frames and decisions."""
    return view.split("@", 1)[0]


@lru_cache(CACHED_VIEWS)
def file_name(view: str) -> str:
    """The view as one path segment of letters, digits, `_`, `-` and `%`; `view_of_file_name` undoes it."""
    return quote(view, safe="").replace(".", "%2E").replace("~", "%7E")


def view_of_file_name(name: str) -> str:
    """The view that `file_name` encoded."""
    return unquote(name)


def settings_of_view(view: str, patterns: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The settings that apply to a view: every matching pattern, later ones over earlier, nested sections merged.

    Patterns are shell-style (`line-3/*`) and case-sensitive.
    """
    settings: dict[str, object] = {}
    for pattern, section in patterns.items():
        if fnmatchcase(view, pattern):
            settings = merged(settings, section)
    return settings


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """`base` with `over` laid on top; mappings merge key by key, anything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
