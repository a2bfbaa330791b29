"""The console as a web application: its addresses, what guards them, and what it says when something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monitoring.console.context import NeedsLogin, NotAllowed, NotThere
from monitoring.console.oidc import IdentityProvider
from monitoring.console.rendering import HERE, page
from monitoring.console.routes import actions, events, images, pages, sign_in
from monitoring.record.database import DatabaseError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from monitoring.console.context import Console

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; object-src 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


class SafeHeaders:
    """Adds what tells a browser to load nothing from elsewhere and to be framed by nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)


def console_app(console: Console) -> FastAPI:
    """The application. Raises MissingOidc where an issuer is set and the extra is not installed."""
    app = FastAPI(title="Patchline", docs_url=None, redoc_url=None, openapi_url=None)
    settings = console.settings
    app.state.console = console
    app.state.provider = IdentityProvider(settings.oidc) if settings.oidc.issuer else None
    for part in (pages, images, events, actions, sign_in):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(NeedsLogin, _to_sign_in)
    app.add_exception_handler(NotAllowed, _not_allowed)
    for missing in (NotThere, RequestValidationError, HTTPException):
        app.add_exception_handler(missing, _not_there)
    app.add_exception_handler(DatabaseError, _no_history)
    app.add_middleware(
        SessionMiddleware,
        secret_key=console.accounts.cookie_key(),
        session_cookie="patchline",
        max_age=int(settings.session_hours * 3600),
        same_site="lax",  # an identity provider sends the person back from its own pages
        https_only=settings.secure_cookie,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.names), www_redirect=False)
    app.add_middleware(SafeHeaders)
    return app


def _to_sign_in(request: Request, _: Exception) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    address = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    return RedirectResponse(f"/sign-in?{urlencode({'next': address})}", status_code=303)


def _not_allowed(request: Request, _: Exception) -> Response:
    return page(request, "problem.html", status=403, title="problem.not_allowed", text="problem.not_allowed_text")


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return page(request, "problem.html", status=status, title="problem.not_there", text="problem.not_there_text")


def _no_history(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", status_code=503)
