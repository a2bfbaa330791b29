"""Who may do what: passwords, roles, forms that others made, and never a page beyond this machine without a login."""

from __future__ import annotations

import pytest

from ingest.command import Command, CommandKind
from ingest.decision import Verdict
from ingest.feedback import Feedback, FeedbackKind
from monitoring.console.accounts import TRIES, WITHIN_SECONDS, Accounts, BadAccount, LoginTries
from monitoring.console.oidc import role_by
from monitoring.console.rendering import part_url
from monitoring.console.roles import Role
from monitoring.console.routes.sign_in import own_page
from monitoring.console.settings import ConsoleSettings, OidcSettings
from tests.monitoring.console.conftest import FAILS, NOW, PASSWORD, Line, csrf_of
from tests.monitoring.decisions import VIEW
from tests.monitoring.record.lines import made

FAIL = made(FAILS[0], Verdict.FAIL)


def test_a_wrong_password_is_refused_and_a_right_one_is_not(line: Line) -> None:
    """With the same sentence for a name that nobody has."""
    line.console.accounts.add("ana", Role.OPERATOR, PASSWORD, at=NOW)
    client = line.client()
    for name, password in (("ana", "wrong password"), ("nobody", PASSWORD)):
        token = csrf_of(client.get("/sign-in"))
        answer = client.post("/sign-in", data={"csrf": token, "name": name, "password": password})
        assert answer.status_code == 401
        assert "Name or password is wrong." in answer.text
    token = csrf_of(client.get("/sign-in"))
    answer = client.post("/sign-in", data={"csrf": token, "name": "ana", "password": PASSWORD, "next": "/report"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/report")
    assert "Signed in as ana (operator)" in client.get("/").text


def test_nobody_guesses_for_long(line: Line) -> None:
    """After some wrong passwords the right one is refused, too, for a while."""
    line.console.accounts.add("ana", Role.OPERATOR, PASSWORD, at=NOW)
    client = line.client()
    for _ in range(TRIES):
        client.post("/sign-in", data={"csrf": csrf_of(client.get("/sign-in")), "name": "ana", "password": "x"})
    answer = client.post(
        "/sign-in", data={"csrf": csrf_of(client.get("/sign-in")), "name": "ana", "password": PASSWORD}
    )
    assert answer.status_code == 401
    assert "Too many wrong passwords" in answer.text


def test_tries_are_forgotten_after_a_while() -> None:
    """By the clock alone."""
    now = [0.0]
    tries = LoginTries(lambda: now[0])
    for _ in range(TRIES):
        assert not tries.refused("ana")
        tries.wrong("ana")
    assert tries.refused("ana")
    now[0] = WITHIN_SECONDS
    assert not tries.refused("ana")


@pytest.mark.parametrize(
    ("role", "word", "bank"),
    [(None, 403, 403), (Role.VIEWER, 403, 403), (Role.OPERATOR, 200, 403), (Role.ENGINEER, 200, 200)],
)
def test_a_role_may_do_what_it_includes(line: Line, role: Role | None, word: int, bank: int) -> None:
    """A button that a page does not show is refused, too, where somebody sends its form."""
    client = line.client() if role is None else line.signed_in(role)
    token = csrf_of(client.get("/"))
    said = client.post(part_url(FAIL, "/word"), data={"csrf": token, "kind": "false_reject"})
    put = client.post("/bank", data={"csrf": token, "kind": "promote", "name": VIEW, "version": line.version})
    assert (said.status_code, put.status_code) == (word, bank)
    assert len(line.messages.sent) == (word == 200) + (bank == 200)


def test_a_form_of_another_page_is_refused(line: Line) -> None:
    """Signed in or not: only a form of ours has the session's token."""
    client = line.signed_in(Role.ENGINEER)
    for token in ({}, {"csrf": ""}, {"csrf": "guessed"}):
        answer = client.post("/bank", data={**token, "kind": "rollback", "name": VIEW})
        assert answer.status_code == 403
    assert line.messages.sent == []


def test_a_word_is_the_message_that_the_command_line_writes(line: Line) -> None:
    """On the frame of the decision, at the places that failed, by the person who is signed in."""
    client = line.signed_in(Role.OPERATOR)
    token = csrf_of(client.get(part_url(FAIL)))
    answer = client.post(part_url(FAIL, "/word"), data={"csrf": token, "kind": "false_reject", "why": "only dust"})
    assert "Waiting for the trainer" in answer.text
    (sent,) = line.messages.sent
    assert isinstance(sent, Feedback)
    assert (sent.kind, sent.view, sent.source) == (FeedbackKind.FALSE_REJECT, VIEW, FAIL.source)
    assert (sent.who, sent.why, sent.box_xyxy_px) == ("operator", "only dust", FAIL.regions[0].box_xyxy_px)
    assert sent.decision_id == FAIL.id


def test_a_group_is_answered_and_a_bank_put_back(line: Line) -> None:
    """As `patchline review` and `patchline bank rollback` do."""
    client = line.signed_in(Role.ENGINEER)
    token = csrf_of(client.get("/"))
    client.post("/group", data={"csrf": token, "kind": "group_no_part", "name": VIEW, "annotation": "g-1"})
    client.post("/bank", data={"csrf": token, "kind": "rollback", "name": VIEW})
    group, bank = line.messages.sent
    assert isinstance(group, Feedback)
    assert (group.kind, group.annotation, group.who) == (FeedbackKind.GROUP_NO_PART, "g-1", "engineer")
    assert isinstance(bank, Command)
    assert (bank.kind, bank.bank_version, bank.who) == (CommandKind.ROLLBACK, None, "engineer")


def test_an_answer_is_shown_once_it_is_in_the_history(line: Line) -> None:
    """Until then the page asks again; after a while it says that the trainer does not run."""
    client = line.signed_in(Role.OPERATOR)
    sent = int(NOW.timestamp() * 1e6)
    waiting = client.get("/answer/c-9", params={"name": VIEW, "sent": sent})
    assert "hx-trigger" in waiting.text
    late = client.get("/answer/c-9", params={"name": VIEW, "sent": sent - 40_000_000})
    assert "No answer yet" in late.text
    done = client.get("/answer/c-1", params={"name": VIEW, "sent": sent})
    assert "Done: Put in force. checked" in done.text


def test_who_is_removed_is_signed_out(line: Line) -> None:
    """With the next page."""
    client = line.signed_in(Role.OPERATOR)
    line.console.accounts.remove("operator")
    assert "Signed in as" not in client.get("/").text


class TestBeyondThisMachine:
    """A console that others reach."""

    @pytest.fixture
    def settings(self) -> ConsoleSettings:
        """On every address, with viewing open, which does not count there."""
        return ConsoleSettings(host="0.0.0.0", open_viewing=True)  # noqa: S104 -- what is tested

    @pytest.mark.parametrize(
        "address",
        ["/", f"/view?name={VIEW}", part_url(FAIL), part_url(FAIL, "/frame.jpg"), "/report", "/live", "/banks?name=x"],
    )
    def test_nothing_is_shown_without_a_login(self, line: Line, address: str) -> None:
        """Pages, pictures and events lead to the form, and back to where one wanted to go."""
        answer = line.client().get(address)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=%2F")
        assert line.client().get("/static/console.css").status_code == 200

    def test_a_viewer_sees_pages(self, line: Line) -> None:
        """Once signed in."""
        assert line.signed_in(Role.VIEWER).get("/").status_code == 200


def test_nobody_is_led_elsewhere() -> None:
    """By an address behind `next`."""
    assert [own_page(each) for each in ("/report?x=1", "//evil.example", "https://evil.example", "/\\evil")] == [
        "/report?x=1", "/", "/", "/",
    ]  # fmt: skip


def test_accounts_are_made_changed_and_removed(line: Line) -> None:
    """A hash is never the password, and short passwords are refused."""
    accounts: Accounts = line.console.accounts
    accounts.add("ana", Role.VIEWER, PASSWORD, at=NOW)
    accounts.add("ana", Role.ENGINEER, PASSWORD + "2", at=NOW)
    assert accounts.checked("ana", PASSWORD) is None
    found = accounts.checked("ana", PASSWORD + "2")
    assert found is not None
    assert found.role is Role.ENGINEER
    for name, password in (("", PASSWORD), ("ben", "short"), ("a\nb", PASSWORD)):
        with pytest.raises(BadAccount):
            accounts.add(name, Role.VIEWER, password, at=NOW)
    with pytest.raises(BadAccount, match="there is no account ben"):
        accounts.remove("ben")
    assert accounts.cookie_key() == accounts.cookie_key()


def test_groups_of_the_identity_provider_give_the_largest_role() -> None:
    """None of them: a viewer."""
    settings = OidcSettings(roles={"line-leads": Role.OPERATOR, "vision": Role.ENGINEER})
    assert role_by({"groups": ["line-leads", "vision", "all"]}, settings) is Role.ENGINEER
    assert role_by({"groups": "line-leads"}, settings) is Role.OPERATOR
    assert role_by({}, settings) is Role.VIEWER
