"""The pictures of pages, by decision, by annotation, and by bank."""

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from monitoring.console.context import NotThere, ViewQuery, console_of, may_look, texts_of
from monitoring.console.drawing import instead_of_a_picture
from monitoring.console.pictures import SMALL_PX, NoPicture, shown
from monitoring.record.queries import RecordedDecision
from monitoring.record.schema import PictureState, moment_of

router = APIRouter(dependencies=[Depends(may_look)])

FOR_A_DAY = {"Cache-Control": "private, max-age=86400, immutable"}
NOT_KEPT = {"Cache-Control": "no-store"}
STATE_HEADER = "X-Picture"


def _found(request: Request, at: int, key: str) -> RecordedDecision:
    found = console_of(request).reader.decision(moment_of(at), key)
    if found is None:
        raise NotThere
    return found


def _answer(request: Request, draw: Callable[[], bytes], kind: str, *, final: bool = True) -> Response:
    """A picture; where there is none, a drawn sentence that says why, with the state in a header."""
    try:
        return Response(draw(), media_type=kind, headers=FOR_A_DAY if final else NOT_KEPT)
    except NoPicture as error:
        sentence = texts_of(request)(f"picture.{error.why}")
        headers = {**NOT_KEPT, STATE_HEADER: error.why}
        return Response(instead_of_a_picture(sentence), media_type="image/svg+xml", headers=headers)


@router.get("/part/{at}/{key}/frame.jpg")
def frame(request: Request, at: int, key: str) -> Response:
    """The frame."""
    found = _found(request, at, key)
    pictures = console_of(request).pictures
    return _answer(request, lambda: pictures.frame(found), "image/jpeg", final=found.picture is PictureState.KEPT)


@router.get("/part/{at}/{key}/small.jpg")
def small(request: Request, at: int, key: str) -> Response:
    """The frame, small."""
    found = _found(request, at, key)
    pictures = console_of(request).pictures
    return _answer(request, lambda: pictures.small(found), "image/jpeg", final=found.picture is PictureState.KEPT)


@router.get("/part/{at}/{key}/heat.png")
def heat(request: Request, at: int, key: str) -> Response:
    """The heat to lay over it."""
    found = _found(request, at, key)
    return _answer(request, lambda: console_of(request).pictures.heat(found.decision), "image/png")


@router.get("/part/{at}/{key}/worst.png")
def worst(request: Request, at: int, key: str) -> Response:
    """The patch that scored most."""
    found = _found(request, at, key)
    return _answer(request, lambda: console_of(request).pictures.worst_patch(found), "image/png")


@router.get("/part/{at}/{key}/nearest.png")
def nearest(request: Request, at: int, key: str) -> Response:
    """The bank's patch that it is nearest to."""
    found = _found(request, at, key)
    return _answer(request, lambda: console_of(request).pictures.nearest_patch(found.decision), "image/png")


@router.get("/group/{annotation}/{number}.jpg")
def exemplar(request: Request, annotation: str, number: int, name: ViewQuery) -> Response:
    """A frame of a group, or of a word on a frame."""
    console = console_of(request)
    state = console.reader.bank_states().get(name)
    found = next((each for each in state.annotations if each.id == annotation), None) if state is not None else None
    if found is None or not 0 <= number < len(found.exemplars):
        raise NotThere
    return _answer(request, lambda: console.pictures.file(found.exemplars[number].path), "image/jpeg")


@router.get("/bank/{version}/{number}.jpg")
def learnt(request: Request, version: str, number: int, name: ViewQuery) -> Response:
    """A frame that a bank keeps of its window."""
    bank = console_of(request).banks.get(name, version)
    if bank is None or not 0 <= number < len(bank.probes):
        raise NotThere
    return _answer(request, lambda: shown(bank.probes[number], SMALL_PX, bank.manifest.geometry), "image/jpeg")
