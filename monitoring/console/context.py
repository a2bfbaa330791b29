"""What every page is made from, wired once; and who looks at it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Query, Request

from monitoring.console.formats import Formats, zone_of
from monitoring.console.roles import Role
from monitoring.console.texts import LANGUAGES, Catalogue, catalogue, preferred

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, time, tzinfo

    from ingest.store import Store
    from monitoring.console.accounts import Accounts, LoginTries
    from monitoring.console.live import LiveViews
    from monitoring.console.pictures import ConsolePictures, RecentBanks
    from monitoring.console.requests_to_trainer import TrainerMessages
    from monitoring.console.settings import ConsoleSettings, Language
    from monitoring.record.queries import RecordReader

LANGUAGE_COOKIE = "language"


class NeedsLogin(Exception):
    """Whoever asks must sign in first."""


class NotAllowed(Exception):
    """The person's role does not include this, or the request came from another page than ours."""


class NotThere(Exception):
    """The history has no such view or decision."""


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page; nobody in particular where `name` is None."""

    name: str | None
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the person is signed in, and the role includes this one."""
        return self.name is not None and self.role.includes(role)


NOBODY = Visitor(None, Role.VIEWER)


@dataclass(frozen=True)
class Console:
    """The objects behind the pages."""

    settings: ConsoleSettings
    reader: RecordReader
    accounts: Accounts
    tries: LoginTries
    store: Store
    banks: RecentBanks
    pictures: ConsolePictures
    messages: TrainerMessages
    live: LiveViews
    shift_hours: tuple[time, ...]
    clock: Callable[[], datetime]

    @property
    def zone(self) -> tzinfo | None:
        """The plant's time zone; None is this machine's."""
        return zone_of(self.settings.time_zone)


def console_of(request: Request) -> Console:
    """The console that a request is to."""
    console: Console = request.app.state.console
    return console


def visitor_of(request: Request) -> Visitor:
    """Who asks: by the account as it is now, or by what the identity provider said when the person signed in."""
    name = request.session.get("name")
    if not isinstance(name, str):
        return NOBODY
    if "role" in request.session:
        return Visitor(name, Role(request.session["role"]))
    account = console_of(request).accounts.find(name)
    return NOBODY if account is None else Visitor(account.name, account.role)


def may_look(request: Request) -> Visitor:
    """The visitor of a page. Raises NeedsLogin where pages are for those alone who signed in."""
    visitor = visitor_of(request)
    if visitor.name is None and console_of(request).settings.needs_login:
        raise NeedsLogin
    return visitor


def csrf_token(request: Request) -> str:
    """What forms of this session carry, made with the session's first page."""
    token: str = request.session.setdefault("csrf", secrets.token_urlsafe(24))
    return token


async def checked_form(request: Request) -> dict[str, str]:
    """The fields of a form of ours. Raises NotAllowed for a form that another page made."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    given = form.get("csrf", "")
    if not secrets.compare_digest(given.encode(), str(request.session.get("csrf", secrets.token_urlsafe())).encode()):
        raise NotAllowed
    return form


def language_of(request: Request) -> Language:
    """The language that the reader chose, or that the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if language == chosen:
            return language
    return preferred(request.headers.get("accept-language", ""), console_of(request).settings.language)


def texts_of(request: Request) -> Catalogue:
    """The texts in the reader's language."""
    return catalogue(language_of(request))


def formats_of(request: Request) -> Formats:
    """Numbers and times as the reader's language writes them, by the plant's clock."""
    return Formats(language_of(request), console_of(request).zone)


Looker = Annotated[Visitor, Depends(may_look)]
"""Whoever asks, where they may look."""
CheckedForm = Annotated[dict[str, str], Depends(checked_form)]
"""The fields of a form of ours."""
ViewQuery = Annotated[str, Query(min_length=1, max_length=401)]
"""The view that a page is about."""
