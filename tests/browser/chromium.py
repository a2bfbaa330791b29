"""Debian's Chromium by Playwright's client: nothing is downloaded, and no page reaches beyond this machine."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = (1440, 900), (390, 844)
Scheme = Literal["dark", "light"]


def chromium() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("chromium")


@contextmanager
def browser_context(
    profile: Path, *, size: tuple[int, int] = WIDE, scheme: Scheme = "light", language: str = "en-GB"
) -> Iterator[BrowserContext]:
    """A browser with a new profile in a folder of its own."""
    program = chromium()
    if program is None:
        raise FileNotFoundError("chromium is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program,
            headless=True,
            args=FLAGS,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            locale=language,
        )
        try:
            yield context
        finally:
            context.close()
