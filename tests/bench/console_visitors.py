"""Who looks at a console: a screen on the wall that shows the fleet live, and a person who opens a page a second."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection, RemoteDisconnected
from itertools import count
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_SECONDS = 60.0
REFRESH_SECONDS = 1.0
"""What is live on a page is asked for again at most so often: `console.js`."""


@dataclass
class Visits:
    """What the visitors saw: seconds of each answer by kind, and of each live event how old what it told was."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    event_seconds: list[float] = field(default_factory=list)
    """Since the decision that an event shows: the view's last one."""
    news_seconds: list[float] = field(default_factory=list)
    """Since the first decision that an event is of: those behind it came with it."""
    problems: list[str] = field(default_factory=list)

    def fetched(self, connection: HTTPConnection, address: str, kind: str) -> str:
        """The answer to one request, as text; its seconds are kept."""
        begun = time.perf_counter()
        try:
            connection.request("GET", address)
            answer = connection.getresponse()
        except RemoteDisconnected:  # the server closes what nobody asked anything on for some seconds
            connection.close()
            connection.request("GET", address)
            answer = connection.getresponse()
        body = answer.read()
        self.seconds.setdefault(kind, []).append(time.perf_counter() - begun)
        if answer.status != 200:
            self.problems.append(f"{address}: {answer.status}")
        return body.decode(errors="replace")


class Visitors:
    """Both, each on threads of its own while entered."""

    def __init__(self, port: int, views: Sequence[str], *, decisions_a_second: float) -> None:
        self.visits = Visits()
        self._port = port
        self._views = views
        self._between_seconds = 1 / decisions_a_second
        self._stop = threading.Event()
        self._news = threading.Event()
        self._threads = [self._thread(work) for work in (self._follow, self._show_fleet, self._browse)]

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def kept() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 -- on a thread: it is told at the end
                self.visits.problems.append(f"{work.__name__}: {error!r}")

        return threading.Thread(target=kept, daemon=True)

    def _open(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)

    def _follow(self) -> None:
        """The connection for live events."""
        connection = self._open()
        connection.request("GET", "/live")
        answer, shown = connection.getresponse(), dict[str, float]()
        while not self._stop.is_set():
            line = answer.readline().decode()
            if not line.startswith("data: "):
                continue
            arrived = time.time()
            for each in json.loads(line.removeprefix("data: ")):
                at = each["at"] / 1e6
                if each["view"] in shown and at > shown[each["view"]]:
                    first = min(at, shown[each["view"]] + self._between_seconds)
                    self.visits.event_seconds.append(arrived - at)
                    self.visits.news_seconds.append(arrived - first)
                shown[each["view"]] = at
            self._news.set()
        connection.close()

    def _show_fleet(self) -> None:
        """The screen: the tiles anew with news."""
        connection = self._open()
        while not self._stop.wait(REFRESH_SECONDS):
            if self._news.is_set():
                self._news.clear()
                self.visits.fetched(connection, "/fleet/tiles", "tiles of the wall")
        connection.close()

    def _browse(self) -> None:
        """The person: fleet, a view, a part of it, each with its pictures."""
        connection, seen = self._open(), set[str]()
        for turn in count():
            view = urlencode({"name": self._views[turn * 7 % len(self._views)]})
            fleet = self._page(connection, "/", "fleet", seen)
            if "/view?" not in fleet or self._stop.wait(1.0):
                break
            parts = re.findall(r'href="(/part/[^"]+)"', self._page(connection, f"/view?{view}", "view", seen))
            if not parts or self._stop.wait(1.0):
                break
            self._page(connection, parts[turn % len(parts)], "part", seen)
            if self._stop.wait(1.0):
                break
        connection.close()

    def _page(self, connection: HTTPConnection, address: str, kind: str, seen: set[str]) -> str:
        page = self.visits.fetched(connection, address, kind)
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', page):
            if picture not in seen:
                seen.add(picture)
                self.visits.fetched(connection, unescape(picture), "picture")
        return page

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(PATIENCE_SECONDS)
