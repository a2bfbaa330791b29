"""The JSON document that a command writes for scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


STANDARD_OUTPUT = Path("-")


def write_json(path: Path | None, document: Mapping[str, object]) -> None:
    """Write a document where a file is named, `-` being standard output. Raises CommandFailed where it cannot be."""
    if path is None:
        return
    text = json.dumps(document, indent=2, allow_nan=False, default=str) + "\n"
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(
            f"cannot write {path}: {error.strerror}; name a file in a folder you may write to"
        ) from error
