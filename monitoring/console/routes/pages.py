"""The pages: fleet, view, part, banks, drift, shift report."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from ingest.annotation import Label
from ingest.bank_state import BankState
from ingest.decision import Reason, Verdict
from ingest.store_layout import bank_folder, banks_among
from monitoring.console.bank_facts import BankFacts, bank_facts, calibration_of
from monitoring.console.context import Console, NotThere, ViewQuery, console_of, may_look
from monitoring.console.drift_data import drift_data
from monitoring.console.fleet import ViewTile, by_need, episodes, open_episodes, tile_of
from monitoring.console.rendering import page, part_url
from monitoring.console.shift_report import shift_report
from monitoring.record.queries import DecisionFilter, RecordedDecision, ViewSummary
from monitoring.record.schema import PictureState, microseconds, moment_of
from monitoring.shifts import shift_of

router = APIRouter(dependencies=[Depends(may_look)])

Text = Annotated[str, Query(max_length=40)]

COUNTED = timedelta(hours=1)
"""What a tile counts."""
CHART_POINTS = 400
FRAMES = 24
BEFORE = timedelta(days=1)
"""How long before an episode a picture is looked for: where they have expired, a year would be read for none."""
DRIFT_SPANS = {"1h": 3600, "8h": 28_800, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}


class FrameQuery(BaseModel):
    """Which frames of a view a page shows, as its form says it."""

    name: Annotated[str, Field(min_length=1, max_length=401)]
    verdict: Annotated[str, Field(max_length=40)] = ""
    reason: Annotated[str, Field(max_length=40)] = ""
    since: Annotated[str, Field(max_length=40)] = ""
    until: Annotated[str, Field(max_length=40)] = ""
    ratio: Annotated[str, Field(max_length=40)] = ""


@router.get("/")
def fleet(request: Request) -> HTMLResponse:
    """All views, what needs a person first."""
    return page(request, "fleet.html", tiles=_tiles(console_of(request)))


@router.get("/fleet/tiles")
def fleet_tiles(request: Request) -> HTMLResponse:
    """The tiles alone."""
    return page(request, "_tiles.html", tiles=_tiles(console_of(request)))


@router.get("/view")
def view(request: Request, query: Annotated[FrameQuery, Query()]) -> HTMLResponse:
    """One view: its scores, its latest frames, and what it learns."""
    console, name = console_of(request), query.name
    summary = _summary(console, name)
    state = console.reader.bank_states().get(name)
    bank = console.banks.get(name, state.active.version) if state is not None and state.active else None
    return page(
        request,
        "view.html",
        summary=summary,
        state=state,
        facts=None if bank is None else bank_facts(bank),
        probes=0 if bank is None else len(bank.probes),
        chart=json.dumps(_chart(console, name, state)),
        frames=_frames(console, query),
        chosen=query,
        verdicts=list(Verdict),
        reasons=list(Reason),
        tile=next(iter(_tiles(console, name)), None),
    )


@router.get("/view/frames")
def view_frames(request: Request, query: Annotated[FrameQuery, Query()]) -> HTMLResponse:
    """The frames of a view alone."""
    return page(request, "_frames.html", frames=_frames(console_of(request), query))


@router.get("/view/points")
def view_points(request: Request, name: ViewQuery, after: int) -> JSONResponse:
    """The scores of a view behind a moment, for its chart."""
    points = console_of(request).reader.after(name, moment_of(after), most=CHART_POINTS)
    return JSONResponse([_point(*each) for each in points])


@router.get("/part/{at}/{key}")
def part(request: Request, at: int, key: str) -> HTMLResponse:
    """One decision, whole."""
    console = console_of(request)
    found = _decision(console, at, key)
    decision = found.decision
    before, after = console.reader.beside(decision)
    words = [each for each in console.reader.words(decision.view) if each.decision_id == decision.id]
    bank = console.banks.get(decision.view, decision.bank.version) if decision.bank else None
    return page(
        request,
        "part.html",
        found=found,
        decision=decision,
        before=None if before is None else f"/part/{microseconds(before[0])}/{before[1]}",
        after=None if after is None else f"/part/{microseconds(after[0])}/{after[1]}",
        same_part=[each for each in console.reader.same_part(decision) if each.decision.id != decision.id],
        words=words,
        bank=None if bank is None else bank_facts(bank),
        shows_picture=found.picture is not PictureState.EXPIRED,
    )


@router.get("/find")
def find(request: Request, id: Annotated[str, Query(min_length=64, max_length=64)]) -> RedirectResponse:  # noqa: A002 -- the query's name
    """The page of a decision, by its id alone."""
    found = console_of(request).reader.found_by(id)
    if found is None:
        raise NotThere
    return RedirectResponse(part_url(found.decision), status_code=303)


@router.get("/banks")
def banks(request: Request, name: ViewQuery, first: str = "", second: str = "") -> HTMLResponse:
    """The banks of a view: what happened to them, what waits for an answer, and two of them side by side."""
    console = console_of(request)
    summary = _summary(console, name)
    state = console.reader.bank_states().get(name)
    versions = [each.version for each in banks_among(console.store.paths(bank_folder(name)))]
    loaded = [(version, bank) for version in versions if (bank := console.banks.get(name, version)) is not None]
    facts = sorted(((version, bank_facts(bank)) for version, bank in loaded), key=lambda each: each[1].created_at)[::-1]
    chosen = [(version, bank) for wanted in (first, second) for version, bank in loaded if version == wanted]
    return page(
        request,
        "banks.html",
        summary=summary,
        state=state,
        groups=() if state is None else sorted(state.annotations, key=lambda each: each.label is not Label.OPEN),
        events=console.reader.bank_events(name, most=100),
        banks=facts,
        shown_bank=_shown(facts, state),
        compared=[(version, bank_facts(bank), calibration_of(bank)) for version, bank in chosen],
        first=first,
        second=second,
    )


def _shown(facts: Sequence[tuple[str, BankFacts]], state: BankState | None) -> tuple[str, BankFacts] | None:
    """The bank in force, or the newest where the store lacks that."""
    in_force = None if state is None or state.active is None else state.active.version
    return next((each for each in facts if each[0] == in_force), facts[0] if facts else None)


@router.get("/drift")
def drift(request: Request, name: ViewQuery, span: Text = "8h") -> HTMLResponse:
    """How far a view is from what its bank learnt."""
    console = console_of(request)
    summary = _summary(console, name)
    state = console.reader.bank_states().get(name)
    found = episodes(console.reader.drift_events(name))
    return page(
        request,
        "drift.html",
        summary=summary,
        span=span if span in DRIFT_SPANS else "8h",
        spans=list(DRIFT_SPANS),
        data=json.dumps(drift_data(console, name, state, seconds=DRIFT_SPANS.get(span, DRIFT_SPANS["8h"]))),
        episodes=[(each, *_before_and_after(console, name, each.began.at)) for each in found],
        has_bank=state is not None and state.active is not None,
    )


@router.get("/report")
def report(request: Request, name: str = "", since: Text = "", until: Text = "") -> HTMLResponse:
    """A shift: what was rejected and why it looks alike, and what changed."""
    console = console_of(request)
    now = console.clock()
    begin = _moment(console, since) or shift_of(now, console.shift_hours, console.zone)
    end = _moment(console, until) or now
    before = shift_of(begin - timedelta(seconds=1), console.shift_hours, console.zone)
    found = shift_report(console.reader, since=begin, until=end, view=name or None)
    return page(
        request,
        "report.html",
        report=found,
        name=name,
        names=[each.view for each in console.reader.views()],
        before=(before, begin),
        now=now,
        picture=lambda decision, what: part_url(decision, f"/{what}"),
        standalone=False,
    )


def _tiles(console: Console, only: str | None = None) -> list[ViewTile]:
    now = console.clock()
    counts = console.reader.counts(since=now - COUNTED, until=now + timedelta(minutes=1))
    states = console.reader.bank_states()
    open_ = open_episodes(console.reader.last_drift_events())
    silent = timedelta(seconds=console.settings.silent_seconds)
    return by_need(
        tile_of(
            each,
            states.get(each.view),
            counts.get(each.view),
            open_.get(each.view),
            console.live.scores(each.view),
            now=now,
            silent_after=silent,
        )
        for each in console.reader.views()
        if only in (None, each.view)
    )


def _summary(console: Console, name: str) -> ViewSummary:
    found = console.reader.view(name)
    if found is None:
        raise NotThere
    return found


def _decision(console: Console, at: int, key: str) -> RecordedDecision:
    found = console.reader.decision(moment_of(at), key)
    if found is None:
        raise NotThere
    return found


def _frames(console: Console, query: FrameQuery) -> list[RecordedDecision]:
    wanted = DecisionFilter(
        verdict=Verdict(query.verdict) if query.verdict in list(Verdict) else None,
        reason=Reason(query.reason) if query.reason in list(Reason) else None,
        since=_moment(console, query.since),
        until=_moment(console, query.until),
        ratio_from=_number(query.ratio),
    )
    return console.reader.decisions(query.name, wanted, most=FRAMES)


def _moment(console: Console, text: str) -> datetime | None:
    """A moment as an input of a page gives it, by the plant's clock."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=console.zone) if console.zone is not None else moment.astimezone()


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _point(at: datetime, key: str, verdict: str, ratio: float | None) -> list[Any]:
    return [microseconds(at), ratio, verdict, key]


def _chart(console: Console, name: str, state: BankState | None) -> dict[str, Any]:
    points = [_point(*each) for each in console.reader.ratios(name, last=CHART_POINTS)]
    band = state.undecided_band if state is not None else None
    return {"view": name, "points": points, "band": band}


def _before_and_after(
    console: Console, name: str, at: datetime
) -> tuple[RecordedDecision | None, RecordedDecision | None]:
    """A pictured frame from before an episode was noticed, and one from then on."""
    begun = timedelta(seconds=1)
    before = console.reader.decisions(
        name, DecisionFilter(verdict=Verdict.PASS, since=at - BEFORE, until=at - begun), most=1, pictured=True
    )
    after = console.reader.decisions(
        name, DecisionFilter(since=at, until=at + timedelta(hours=1)), most=1, pictured=True
    )
    return next(iter(before), None), next(iter(after), None)
