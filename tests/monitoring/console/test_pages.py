"""Pages: each with what the history holds, in every language, and with a sentence where there is nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from ingest.decision import Verdict
from monitoring.console.rendering import part_url
from monitoring.console.settings import ConsoleSettings
from tests.monitoring.console.conftest import FAILS, Line, csrf_of
from tests.monitoring.decisions import VIEW
from tests.monitoring.record.lines import made, picture

if TYPE_CHECKING:
    from httpx2 import Response

PAGES = (
    "/", f"/view?name={VIEW}", f"/banks?name={VIEW}", f"/drift?name={VIEW}", "/report", "/sign-in",
    "/view?name=line-2/side", "/drift?name=line-2/side&span=1h", "/banks?name=line-2/side",
    part_url(made(20, Verdict.FAIL)), part_url(made(3)), part_url(made(2, Verdict.UNDECIDED, view="line-2/side")),
)  # fmt: skip
FAIL = made(FAILS[0], Verdict.FAIL)


@pytest.mark.parametrize("language", ["en", "de", "zh"])
@pytest.mark.parametrize("address", PAGES)
def test_every_page_is_there_in_every_language(line: Line, address: str, language: str) -> None:
    """StrictUndefined and the catalogue: a name or a text that is missing fails the page."""
    answer = line.client().get(address, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert "content-security-policy" in answer.headers
    assert not re.search(r"(https?:)?//(?!localhost|www\.w3\.org)[a-z]", answer.text)


def test_the_fleet_shows_what_needs_a_person_first(line: Line) -> None:
    """The view that drifted before the one that is learning; counts are those of the decisions."""
    text = line.client().get("/").text
    assert text.index(VIEW) < text.index("line-2/side")
    assert "Camera got darker" in text
    assert "No decision for" in text
    assert "117 passed, 3 failed, 0 undecided in the last hour" in text


def test_a_filter_shows_only_what_fits(line: Line) -> None:
    """By verdict, by score, and by the plant's clock."""
    client = line.client()

    def shown(**query: str) -> set[str]:
        page = client.get("/view/frames", params={"name": VIEW, **query})
        return set(re.findall(r'href="/part/\d+/([0-9a-f]{64})"', page.text))

    fails = {made(n, Verdict.FAIL).id for n in FAILS}
    assert shown(verdict="fail") == fails
    assert shown(ratio="1,2") == fails
    assert shown(since="2026-11-24T07:00", until="2026-11-24T07:01", verdict="fail") == fails  # Berlin is an hour ahead
    assert shown(since="2026-11-24T06:00", until="2026-11-24T06:59") == set()
    assert shown(verdict="nonsense") == shown()


def test_a_part_s_page_says_where_it_stands(line: Line) -> None:
    """Verdict, score over threshold, neighbours, the other frames of the part, the plant's clock."""
    text = line.client().get(part_url(FAIL)).text
    assert "1.50" in text
    assert f'href="{part_url(made(19))}" data-key="ArrowLeft"' in text
    assert f'href="{part_url(made(21))}" data-key="ArrowRight"' in text
    assert "All frames with serial number SN-10." in text
    assert "24 Nov 2026 07:00:20 CET" in text


def test_an_id_alone_leads_to_its_part(line: Line) -> None:
    """As a command line prints it."""
    assert line.client().get(f"/find?id={FAIL.id}").headers["location"] == part_url(FAIL)


@pytest.mark.parametrize(
    "address", ["/nothing", "/view?name=line-9/none", f"/part/0/{'0' * 64}", f"/find?id={'0' * 64}"]
)
def test_what_is_not_there_is_said_so(line: Line, address: str) -> None:
    """With a way back."""
    answer = line.client().get(address)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def image(answer: Response) -> np.ndarray:
    """The picture of an answer, with its alpha."""
    assert answer.status_code == 200, answer.text
    found = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def test_pictures_are_the_frame_and_its_heat(line: Line) -> None:
    """The frame as recorded; heat where the map is above, clear where it is below."""
    client = line.client()
    last = made(119)
    assert abs(int(image(client.get(part_url(last, "/frame.jpg")))[0, 0, 0]) - picture(119)[0]) >= 0
    assert image(client.get(part_url(last, "/small.jpg"))).shape[:2] == (21, 32)
    heat = image(client.get(part_url(FAIL, "/heat.png")))
    assert heat.shape[2] == 4
    worst = np.unravel_index(heat[..., 3].argmax(), heat.shape[:2])
    assert worst[0] / heat.shape[0] == pytest.approx(1.5 / 4, abs=0.15)
    assert worst[1] / heat.shape[1] == pytest.approx(2.5 / 6, abs=0.15)
    assert heat[-1, -1, 3] < heat[..., 3].max()


def test_pictures_show_what_is_ignored(line: Line) -> None:
    """The outline of the view's regions, on the frame as on the small picture that the recorder kept."""
    client = line.client()
    for name in ("frame.jpg", "small.jpg"):
        shown = image(client.get(part_url(made(119), f"/{name}"))).astype(int)
        height, width = shown.shape[:2]
        corner = shown[: height // 3, : width // 3]
        rest = shown[height // 2 :, width // 2 :]
        assert corner.std() > 3 * rest.std()


def test_the_page_of_banks_says_how_small_a_defect_the_bank_finds(line: Line) -> None:
    """In words, and drawn with the interval; of each kind the share that is found."""
    page = line.client().get(f"/banks?name={VIEW}").text
    assert re.search(r"Nine in ten are found from \d+ px on \(\d+ to \d+ px\)\.", page) is not None
    assert "24 of 40 were found in all." in page
    assert "Stains 60" in page
    assert page.count('class="spark-dot"') == 6
    assert 'class="spark-band"' in page


def test_a_picture_that_is_not_kept_has_a_named_state(line: Line) -> None:
    """Its place on a page says why it is empty."""
    newest = made(121)
    line.writer.decisions([newest])
    answer = line.client().get(part_url(newest, "/frame.jpg"))
    assert (answer.headers["x-picture"], answer.headers["content-type"]) == ("waiting", "image/svg+xml")
    assert "The picture is being fetched" in answer.text


def test_the_chart_gets_what_came_behind_a_moment(line: Line) -> None:
    """So that a live page draws only what is new."""
    client = line.client()
    found = re.search(r'<script type="application/json">(.*?)</script>', client.get(f"/view?name={VIEW}").text)
    assert found is not None
    points = json.loads(found[1])["points"]
    assert len(points) == 120
    line.writer.decisions([made(120, Verdict.FAIL)])
    (news,) = client.get(f"/view/points?name={VIEW}&after={points[-1][0]}").json()
    assert news[1:] == [1.5, "fail", made(120).id]


def test_another_name_of_the_machine_is_refused(line: Line) -> None:
    """A page elsewhere cannot make a browser ask in the console's place by a name of its own."""
    assert line.client().get("/", headers={"host": "attacker.example"}).status_code == 400


def test_a_language_that_is_chosen_stays(line: Line) -> None:
    """Whatever the browser asks for."""
    client = line.client()
    answer = client.post("/language", data={"csrf": csrf_of(client.get("/")), "language": "de", "next": "/report"})
    assert answer.headers["location"] == "/report"
    assert "Schichtbericht" in client.get("/", headers={"accept-language": "zh"}).text


class TestEmptyHistory:
    """A console before the first decision."""

    @pytest.fixture
    def settings(self) -> ConsoleSettings:
        """The defaults."""
        return ConsoleSettings()

    def test_the_fleet_says_what_to_do(self, line: Line) -> None:
        """Not an empty page."""
        line.console.reader.views = list  # type: ignore[method-assign]
        assert "patchline camera line-1/camera-1 --folder DIR" in line.client().get("/").text
