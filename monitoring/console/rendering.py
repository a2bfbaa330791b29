"""Pages from templates: the same frame, texts and formats around each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monitoring.console.context import console_of, csrf_token, formats_of, texts_of, visitor_of
from monitoring.console.drawing import histogram_path, sparkline
from monitoring.console.roles import Role
from monitoring.record.schema import microseconds

if TYPE_CHECKING:
    from fastapi import Request

    from ingest.decision import Decision

HERE = Path(__file__).parent


def part_url(decision: Decision, what: str = "") -> str:
    """The address of a decision's page, or of something on it."""
    return f"/part/{microseconds(decision.decided_at)}/{decision.id}{what}"


def view_url(view: str, page: str = "view", **more: object) -> str:
    """The address of a page about a view."""
    return f"/{page}?{urlencode({'name': view, **{key: value for key, value in more.items() if value}})}"


@lru_cache
def environment() -> Environment:
    """The templates; an unknown name in one is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "part_url": part_url,
        "view_url": view_url,
        "sparkline": sparkline,
        "histogram_path": histogram_path,
        "microseconds": microseconds,
        "Role": Role,
    }
    return made


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 -- a template's
    """A page, or a part of one."""
    texts = texts_of(request)
    text = (
        environment()
        .get_template(template)
        .render(
            t=texts,
            f=formats_of(request),
            visitor=visitor_of(request),
            csrf=csrf_token(request),
            here=request.url.path,
            zone=console_of(request).settings.time_zone or "",
            address=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
            **values,
        )
    )
    return HTMLResponse(text, status_code=status)
