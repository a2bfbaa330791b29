"""`patchline threshold`: what another threshold would have done to recorded decisions; --apply puts it in force."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import CommandFailed, UsageError
from deploy.history.banks import find_view, view_states
from deploy.history.decision_reader import decisions_of, frame_of
from deploy.history.moments import moment_from
from deploy.history.requested_threshold import (
    Costs,
    RequestedThreshold,
    StoredBanks,
    command_for,
    costs_from,
    limits_by,
    requested_from,
    threshold_in_force_by,
)
from deploy.history.threshold_replay import ThresholdReplay, threshold_replay
from deploy.output.event_line import print_event
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.output.threshold_report import ThresholdReport, lasting_words
from deploy.output.view_sentences import asked_words
from deploy.pictures.changed_verdicts import changed_verdicts_sheet
from deploy.settings import Settings
from deploy.trainer_commands import send_command
from inference.decide import Limits
from ingest.bank_event import BankEvent
from ingest.bank_state import BankInForce, BankState
from ingest.decision import Decision
from ingest.store import FsspecStore
from monitoring.shifts import hours_from
from softpatch.bank import Bank
from softpatch.calibration.threshold import cheapest_ratio
from softpatch.images.geometry import FrameGeometry

FalseReject = Annotated[
    float | None,
    typer.Option("--false-reject", metavar="RATIO", help="Share of good parts that may be rejected, as 0.01."),
]
Value = Annotated[
    float | None, typer.Option("--threshold", metavar="DISTANCE", help="A threshold of the bank in force, as it is.")
]
CostReject = Annotated[
    float | None, typer.Option("--cost-reject", metavar="COST", help="What a good part that fails costs, in any unit.")
]
CostEscape = Annotated[
    float | None,
    typer.Option("--cost-escape", metavar="COST", help="What a defective part that passes costs, in the same unit."),
]
BandLimits = Annotated[
    tuple[float, float] | None,
    typer.Option("--band", metavar="LOW HIGH", help="Score ratios between which frames are undecided; 1 1: none."),
]
BySettings = Annotated[
    bool, typer.Option("--by-settings", help="Ratio and band of the view's settings again, instead of a person's.")
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Decisions since 8h, 7d ago, or an RFC 3339 time.")]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Of those, only the latest so many.")]
Shifts = Annotated[str, typer.Option("--shifts", metavar="TIMES", help="When shifts begin, by this machine's clock.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Draw the frames that would be decided otherwise there.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Put it in force, and wait until it is.")]

SHEET = "changed-verdicts.png"


def threshold(
    *,
    view: ViewArgument,
    false_reject: FalseReject = None,
    value: Value = None,
    cost_reject: CostReject = None,
    cost_escape: CostEscape = None,
    band: BandLimits = None,
    by_settings: BySettings = False,
    since: Since = "24h",
    last: Last = None,
    shifts: Shifts = "06:00,14:00,22:00",
    out: Out = None,
    apply: Apply = False,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Show what another threshold would have done; put it in force.

    It decides a view's recorded decisions again, and shows rejects per shift, and pictures. Without --false-reject,
    --threshold, costs, --band or --by-settings: the decisions as they were. Nothing changes without --apply, which is a
    command to the trainer: it holds for every later bank, and the view's history keeps who, when and why. With
    --cost-reject and --cost-escape the requested ratio is the cheapest, if as many parts are defective as in the bank's
    window.
    """
    requested = requested_from(false_reject=false_reject, threshold=value, band=band, by_settings=by_settings)
    costs = costs_from(cost_reject, cost_escape, requested)
    loaded = load(settings, flags, bootstrap=bootstrap)
    state, in_force = _in_force(loaded, view)
    requested = requested.as_in(loaded.training_of(view))
    stored, console = StoredBanks(FsspecStore.open(loaded.store.url), view), Console()
    if costs is not None:
        requested = _cheapest(console, requested, stored.require(in_force.version), costs)
    default_band = state.undecided_band or loaded.training_of(view).undecided_band
    limits = limits_by(requested, stored, in_force, default_band=default_band) if requested.changes_anything else None
    replay = _replay(loaded, view, limits, since=since, last=last, shifts=shifts)
    threshold_now = threshold_in_force_by(requested, stored, in_force)
    report = ThresholdReport(view, in_force, requested, threshold_now, replay)
    report.print_to(console)
    if state.threshold_from is not None:
        console.print(f"Now: {asked_words(state)}, asked for by {state.threshold_from}.", highlight=False, markup=False)
    if out is not None:
        _draw(console, loaded, replay, stored, title=f"{view}: {requested.description}", out=out)
    document = report.to_json()
    if apply:
        event = _applied(loaded, requested, in_force, stored, view=view, why=why)
        print_event(console, event)
        console.print(lasting_words(event), highlight=False)
        document["applied"] = event.model_dump(mode="json", exclude_none=True)
    elif requested.changes_anything:
        console.print("Nothing is changed; the same with --apply, and --why, puts it in force.")
    write_json(json, document)


def _in_force(loaded: Settings, view: str) -> tuple[BankState, BankInForce]:
    states = view_states(loaded)
    state = states[find_view(states, view)]
    if state.active is None:
        raise CommandFailed(f"{view} is {state.state.value}: no bank is in force, so there is no threshold yet")
    return state, state.active


def _cheapest(console: Console, requested: RequestedThreshold, bank: Bank, costs: Costs) -> RequestedThreshold:
    """The ratio that costs least by the calibration of the bank in force."""
    found = cheapest_ratio(bank.threshold_scores, cost_reject=costs.reject, cost_escape=costs.escape)
    console.print(
        f"Costs least where [bold]{100 * found.false_reject_ratio:.2g} %[/] of good parts are rejected: "
        f"about {1000 * found.cost_per_frame:.3g} per 1,000 frames.",
        highlight=False,
    )
    return replace(requested, false_reject_ratio=found.false_reject_ratio)


def _replay(
    loaded: Settings,
    view: str,
    limits: Callable[[Decision], Limits | None] | None,
    *,
    since: str,
    last: int | None,
    shifts: str,
) -> ThresholdReplay:
    """The recorded decisions, decided again by these limits. Raises CommandFailed where there are none."""
    hours, begin = hours_from(shifts), moment_from(since, now=datetime.now(UTC))
    recorded = decisions_of(loaded.kafka, view, since=begin)
    found = threshold_replay(
        recorded if last is None else deque(recorded, maxlen=last),
        limits,
        hours=hours,
        zone=None,
        input_fault=loaded.inspection_of(view).input_fault,
    )
    if not found.whole.frames and not found.not_judged:
        raise CommandFailed(
            f"no decision of {view} is recorded since {begin:%Y-%m-%d %H:%M} UTC; give a longer --since"
        )
    return found


def _draw(
    console: Console, loaded: Settings, replay: ThresholdReplay, stored: StoredBanks, *, title: str, out: Path
) -> None:
    claims = claims_of(loaded)

    def picture_of(decision: Decision) -> bytes | None:
        frame = frame_of(loaded.kafka, claims, decision)
        return None if frame is None else frame.encoded

    def geometry_of(decision: Decision) -> FrameGeometry | None:
        bank = stored.get(decision.bank.version) if decision.bank else None
        return None if bank is None else bank.manifest.geometry

    sheet, expired = changed_verdicts_sheet(
        replay, title, first_topic=loaded.kafka.topic("frames"), picture_of=picture_of, geometry_of=geometry_of
    )
    if sheet is None:
        console.print(
            f"No picture to draw: {expired} are no longer kept." if expired else "No frame would change: no picture."
        )
        return
    write_picture(out / SHEET, sheet)
    console.print(f"Pictures: [bold]{out / SHEET}[/]", soft_wrap=True, highlight=False)


def _applied(
    loaded: Settings,
    requested: RequestedThreshold,
    in_force: BankInForce,
    stored: StoredBanks,
    *,
    view: str,
    why: str,
) -> BankEvent:
    if not requested.changes_anything:
        raise UsageError("--apply needs --false-reject, --threshold, costs, --band or --by-settings")
    bank = stored.require(in_force.version)
    return send_command(loaded, command_for(requested, view, bank, in_force, why=why, at=datetime.now(UTC)))
