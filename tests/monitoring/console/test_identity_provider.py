"""Signing in by an OpenID Connect provider that runs as a process: the groups that it names become a role."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from monitoring.console.roles import Role
from monitoring.console.settings import ConsoleSettings, OidcSettings
from tests.brokers import answers, free_port
from tests.e2e.services import environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.testclient import TestClient

    from tests.monitoring.console.conftest import Line

pytestmark = [pytest.mark.process, pytest.mark.slow]

PEOPLE = (
    {"sub": "1", "preferred_username": "ana", "groups": ["line-leads", "everybody"]},
    {"sub": "2", "preferred_username": "ben", "groups": ["everybody", "vision"]},
    {"sub": "3", "preferred_username": "cem"},
)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The provider's address."""
    port, log = free_port(), tmp_path_factory.mktemp("provider") / "log"
    people = [word for each in PEOPLE for word in ("--user-claims", json.dumps(each))]
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *people],
            stdout=lines,
            stderr=lines,
            env=environment(),
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(port), "the provider's start")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture
def settings(issuer: str) -> ConsoleSettings:
    """A console that signs in there."""
    roles = {"line-leads": Role.OPERATOR, "vision": Role.ENGINEER}
    oidc = OidcSettings(issuer=issuer, client_id="patchline", client_secret="a secret", roles=roles)  # noqa: S106 -- any
    return ConsoleSettings(oidc=oidc)


def sign_in(client: TestClient, **said: str) -> httpx.Response:
    """As a browser does: to the provider, and its form sent with what a person says there; returns the last answer."""
    there = client.get("/oidc")
    assert there.status_code == 302
    with httpx.Client(follow_redirects=False) as browser:
        form = browser.get(there.headers["location"])
        assert form.status_code == 200
        return browser.post(there.headers["location"], data=said)


def back(client: TestClient, answer: httpx.Response) -> str:
    """The first page after coming back with the provider's answer."""
    address = urlsplit(answer.headers["location"])
    returned = client.get(f"{address.path}?{address.query}")
    assert (returned.status_code, returned.headers["location"]) == (303, "/")
    return client.get("/").text


@pytest.mark.parametrize(
    ("person", "name", "role"), [("1", "ana", "operator"), ("2", "ben", "engineer"), ("3", "cem", "viewer")]
)
def test_who_comes_back_has_the_role_of_the_persons_groups(line: Line, person: str, name: str, role: str) -> None:
    """The code is exchanged and the token's signature is checked with the provider's own key."""
    client = line.client()
    page = back(client, sign_in(client, sub=person))
    assert f"Signed in as {name} ({role})" in page


def test_the_form_names_the_provider(line: Line) -> None:
    """Beside name and password."""
    assert re.search(r'href="/oidc"', line.client().get("/sign-in").text)


def test_an_answer_to_somebody_else_signs_nobody_in(line: Line) -> None:
    """The state in the address is that of the browser which asked."""
    answer = sign_in(line.client(), sub="2")
    address = urlsplit(answer.headers["location"])
    other = line.client()
    returned = other.get(f"{address.path}?{address.query}")
    assert returned.status_code == 401
    assert "Signed in as" not in other.get("/").text


def test_who_changes_their_mind_is_not_signed_in(line: Line) -> None:
    """The provider says so, and the console shows its form again."""
    client = line.client()
    address = urlsplit(sign_in(client, action="deny").headers["location"])
    returned = client.get(f"{address.path}?{address.query}")
    assert returned.status_code == 401
    assert "The identity provider did not say who you are" in returned.text


def test_a_code_counts_once(line: Line) -> None:
    """Who reads it from a log signs in with it no more."""
    client = line.client()
    answer = sign_in(client, sub="1")
    back(client, answer)
    address = urlsplit(answer.headers["location"])
    assert client.get(f"{address.path}?{address.query}").status_code == 401
