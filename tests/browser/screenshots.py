"""Pictures of the console over a running demo: `python -m tests.browser.screenshots FOLDER`, or `make screenshots`.

Every page at 1440 and 390 px, dark and light. The few that README and docs show are copied to docs/console.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.chromium import PHONE, WIDE, browser_context
from tests.browser.running_demo import VIEW, RunningDemo
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.chromium import Scheme

DOCS = Path(__file__).parents[2] / "docs" / "console"
SHOWN = ("view-1440-light", "part-1440-dark", "report-1440-light", "part-390-light")
SETTLE_MS = 2500
"""For charts."""
ON_THE_LINE_SECONDS = 60
"""Until the chart shows a line that goes on at its own beat."""


def pictures(demo: RunningDemo, folder: Path, size: tuple[int, int], scheme: Scheme) -> None:
    """Every page of one size and scheme."""
    with tempfile.TemporaryDirectory() as profile, browser_context(Path(profile), size=size, scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{demo.address}/view?name={VIEW}&verdict=fail&ratio=1.2")
        part = page.locator(".frame-card").first.get_attribute("href")
        pages = {
            "fleet": "/",
            "view": f"/view?name={VIEW}",
            "part": part,
            "banks": f"/banks?name={VIEW}",
            "drift": f"/drift?name={VIEW}&span=1h",
            "report": "/report",
            "sign-in": "/sign-in",
        }
        for name, address in pages.items():
            page.goto(f"{demo.address}{address}")
            page.evaluate("for (const image of document.images) image.loading = 'eager'")
            page.wait_for_timeout(SETTLE_MS)
            wait_until(lambda: bool(page.evaluate("[...document.images].every((image) => image.complete)")), "pictures")
            _shoot(page, folder, f"{name}-{size[0]}-{scheme}")


def _shoot(page: Page, folder: Path, name: str) -> None:
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    if name in SHOWN:
        DOCS.mkdir(exist_ok=True)
        page.screenshot(path=DOCS / f"{name}.png")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work, RunningDemo.start(Path(work)) as line:
        time.sleep(ON_THE_LINE_SECONDS)
        for size in (WIDE, PHONE):
            for scheme in ("light", "dark"):
                pictures(line, out, size, scheme)
    sys.stdout.write(f"{len(list(out.iterdir()))} pictures in {out}\n")
