"""Server-sent events: what has just been decided."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from monitoring.console.context import console_of, may_look

router = APIRouter(dependencies=[Depends(may_look)])


@router.get("/live")
async def live(request: Request, name: Annotated[str, Query(max_length=401)] = "") -> StreamingResponse:
    """The last decision of each view that goes on, of one view or of all."""
    events = console_of(request).live.events(request.is_disconnected, name or None)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
