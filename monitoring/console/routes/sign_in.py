"""Signing in and out, by an account of the history's database or by the plant's identity provider."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from monitoring.console.context import LANGUAGE_COOKIE, CheckedForm, console_of
from monitoring.console.oidc import IdentityProvider, ProviderFailed
from monitoring.console.rendering import page
from monitoring.console.texts import LANGUAGES

router = APIRouter()

YEAR_SECONDS = 365 * 86_400


def own_page(address: str) -> str:
    """The address, where it is a page of ours; else the first one: nobody is led elsewhere."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"


@router.get("/sign-in")
def form(request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002 -- the query's name
    """The form."""
    return page(request, "sign_in.html", next=own_page(next), wrong=None, oidc=_provider(request) is not None)


@router.post("/sign-in")
def sign_in(request: Request, form: CheckedForm) -> Response:
    """Name and password."""
    console = console_of(request)
    name, after = form.get("name", ""), own_page(form.get("next", "/"))
    if console.tries.refused(name):
        wrong = "sign_in.too_often"
    else:
        account = console.accounts.checked(name, form.get("password", ""))
        if account is not None:
            console.tries.right(name)
            request.session.clear()  # a session that somebody else began is not taken over
            request.session["name"] = account.name
            return RedirectResponse(after, status_code=303)
        console.tries.wrong(name)
        wrong = "sign_in.wrong"
    return page(request, "sign_in.html", status=401, next=after, wrong=wrong, oidc=_provider(request) is not None)


@router.post("/sign-out")
def sign_out(request: Request, form: CheckedForm) -> RedirectResponse:
    """End the session."""
    del form
    request.session.clear()
    return RedirectResponse("/", status_code=303)


@router.post("/language")
def language(form: CheckedForm) -> RedirectResponse:
    """Another language, for a year."""
    answer = RedirectResponse(own_page(form.get("next", "/")), status_code=303)
    if form.get("language") in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, form["language"], max_age=YEAR_SECONDS, httponly=True, samesite="lax")
    return answer


@router.get("/oidc")
async def to_provider(request: Request) -> Any:  # noqa: ANN401 -- the library's redirect
    """To the identity provider."""
    provider = _provider(request)
    if provider is None:
        return RedirectResponse("/sign-in", status_code=303)
    return await provider.redirect(request, str(request.url_for("from_provider")))


@router.get("/oidc/back")
async def from_provider(request: Request) -> Response:
    """Back from it, with who the person is."""
    provider = _provider(request)
    if provider is None:
        return RedirectResponse("/sign-in", status_code=303)
    try:
        name, role = await provider.person(request)
    except ProviderFailed:
        return page(request, "sign_in.html", status=401, next="/", wrong="sign_in.provider", oidc=True)
    request.session.clear()
    request.session.update(name=name, role=role.value)
    return RedirectResponse("/", status_code=303)


def _provider(request: Request) -> IdentityProvider | None:
    provider: IdentityProvider | None = request.app.state.provider
    return provider
