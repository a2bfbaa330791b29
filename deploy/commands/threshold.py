"""`patchline threshold`: what another threshold would have done to recorded decisions; --apply puts it in force."""

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.table import Table

from deploy import trainer_commands
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, Why, load
from deploy.errors import CommandFailed, UsageError
from deploy.history import banks
from deploy.history.decision_reader import decisions_of, frame_of
from deploy.history.moments import moment_from
from deploy.history.requested_threshold import RequestedThreshold, StoredBanks, command_for, limits_by
from deploy.history.shifts import hours_from
from deploy.history.threshold_replay import Tally, ThresholdReplay, threshold_replay
from deploy.output.reports import write_json
from deploy.pictures.changed_verdicts import changed_verdicts_sheet
from deploy.settings import Settings
from ingest.bank_event import BankEvent
from ingest.bank_state import BankInForce, BankState
from ingest.decision import Decision, Verdict
from ingest.store import FsspecStore
from softpatch.bank import Bank
from softpatch.calibration.threshold import cheapest_ratio, threshold_of
from softpatch.images.geometry import Geometry

View = Annotated[str, typer.Argument(metavar="VIEW", help="line/camera, or line/camera@product.")]
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
Band = Annotated[
    tuple[float, float] | None,
    typer.Option("--band", metavar="LOW HIGH", help="Score ratios between which frames are undecided; 1 1: none."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Decisions since 8h, 7d ago, or an RFC 3339 time.")]
Last = Annotated[int | None, typer.Option("--last", min=1, help="Of those, only the latest so many.")]
Shifts = Annotated[str, typer.Option("--shifts", metavar="TIMES", help="When shifts begin, by this machine's clock.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Draw the frames that would be decided otherwise there.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Put it in force, and wait until it is.")]

SHEET = "flips.png"
SHORT = 12


def threshold(
    *,
    view: View,
    false_reject: FalseReject = None,
    value: Value = None,
    cost_reject: CostReject = None,
    cost_escape: CostEscape = None,
    band: Band = None,
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

    It decides a view's recorded decisions again, and shows rejects per shift, and pictures.
    Without --false-reject, --threshold, costs or --band: what there was. Nothing changes without --apply, which is a
    command to the trainer; the view's history keeps who changed the threshold, when and why. With --cost-reject and
    --cost-escape the ratio asked is the cheapest, if as many parts are defective as in the bank's window.
    """
    loaded, asked = load(settings, flags, bootstrap=bootstrap), _asked(false_reject, value, band)
    costs = _costs(cost_reject, cost_escape, asked)
    known = banks.view_states(loaded)
    state = known[banks.find_view(known, view)]
    if state.active is None:
        raise CommandFailed(f"{view} is {state.state.value}: no bank is in force, so there is no threshold yet")
    stored, console = StoredBanks(FsspecStore.open(loaded.store.url), view), Console()
    if costs is not None:
        asked = _priced(console, asked, _bank(stored, state.active), *costs)
    found = _found(loaded, asked, state, stored, since=since, last=last, shifts=shifts)
    _print(console, state.active, asked, stored, found)
    if out is not None:
        _draw(console, loaded, found, stored, title=f"{view}: {asked.words}", out=out)
    report = _report(view, state.active, asked, stored, found)
    if apply:
        event = _applied(loaded, asked, state.active, stored, view=view, why=why)
        console.print(f"[green]{event.kind.value.replace('_', ' ')}[/] for {event.view}, by {event.who}: {event.why}")
        report["applied"] = event.model_dump(mode="json", exclude_none=True)
    elif asked.anything:
        console.print("Nothing is changed; the same with --apply, and --why, puts it in force.")
    write_json(json, report)


def _asked(false_reject: float | None, value: float | None, band: tuple[float, float] | None) -> RequestedThreshold:
    if false_reject is not None and value is not None:
        raise UsageError("give --false-reject or --threshold, not both")
    if false_reject is not None and not 0 < false_reject < 0.5:  # noqa: PLR2004 -- as the contract of commands has it
        raise UsageError(f"--false-reject {false_reject:g} must lie between 0 and 0.5, as 0.01 for one in a hundred")
    if value is not None and not value > 0:
        raise UsageError(f"--threshold {value:g} must be above 0")
    if band is not None and not 0 < band[0] <= 1 <= band[1]:
        raise UsageError(f"--band {band[0]:g} {band[1]:g} must hold 1, the threshold, as 0.9 1.1")
    return RequestedThreshold(false_reject, value, band)


def _costs(
    cost_reject: float | None, cost_escape: float | None, asked: RequestedThreshold
) -> tuple[float, float] | None:
    """Both, or neither."""
    if cost_reject is None and cost_escape is None:
        return None
    if cost_reject is None or cost_escape is None:
        raise UsageError("give both --cost-reject and --cost-escape: only what one is to the other counts")
    if (asked.false_reject_ratio, asked.threshold) != (None, None):
        raise UsageError("costs say which ratio to ask for: leave --false-reject and --threshold away")
    if not (cost_reject > 0 and cost_escape > 0):
        raise UsageError(f"--cost-reject {cost_reject:g} and --cost-escape {cost_escape:g} must be above 0")
    return cost_reject, cost_escape


def _priced(
    console: Console, asked: RequestedThreshold, bank: Bank, cost_reject: float, cost_escape: float
) -> RequestedThreshold:
    """The ratio that costs least by the calibration of the bank in force."""
    found = cheapest_ratio(bank.calibration_scores, cost_reject=cost_reject, cost_escape=cost_escape)
    console.print(
        f"Costs least where [bold]{100 * found.false_reject_ratio:.2g} %[/] of good parts are rejected: "
        f"about {1000 * found.cost_per_frame:.3g} per 1,000 frames.",
        highlight=False,
    )
    return replace(asked, false_reject_ratio=found.false_reject_ratio)


def _bank(stored: StoredBanks, in_force: BankInForce) -> Bank:
    bank = stored.get(in_force.version)
    if bank is None:
        raise CommandFailed(
            f"the store has no bank {in_force.version[:SHORT]}: set store.url to where the trainer keeps banks"
        )
    return bank


def _found(
    loaded: Settings,
    asked: RequestedThreshold,
    state: BankState,
    stored: StoredBanks,
    *,
    since: str,
    last: int | None,
    shifts: str,
) -> ThresholdReplay:
    """What it would have done. Raises CommandFailed where nothing is recorded."""
    view, hours, begin = state.view, hours_from(shifts), moment_from(since, now=datetime.now(UTC))
    in_force = state.active
    if in_force is None:
        raise CommandFailed(f"no bank is in force for {view}")
    limits = limits_by(asked, stored, in_force, usual_band=loaded.training_of(view).undecided_band)
    recorded = decisions_of(loaded.kafka, view, since=begin)
    chosen = recorded if last is None else deque(recorded, maxlen=last)
    policy = loaded.inspection_of(view).input_fault
    found = threshold_replay(chosen, limits if asked.anything else None, hours=hours, zone=None, input_fault=policy)
    if not found.whole.frames and not found.not_judged:
        raise CommandFailed(
            f"no decision of {view} is recorded since {begin:%Y-%m-%d %H:%M} UTC; give a longer --since"
        )
    return found


def _print(
    console: Console,
    in_force: BankInForce,
    asked: RequestedThreshold,
    stored: StoredBanks,
    found: ThresholdReplay,
) -> None:
    now = _threshold_of(in_force, asked, stored)
    words = f"threshold [bold]{in_force.threshold:.4g}[/]"
    if now is not None and now != in_force.threshold:
        words += f", asked [bold]{now:.4g}[/] ({now / in_force.threshold:.2f} of it)"
    console.print(f"Bank {in_force.version[:SHORT]}: {words}", highlight=False)
    console.print(_table(found, compared=asked.anything))
    for (was, new), count in sorted(found.changes.items()):
        console.print(f"{count} frames: {was.value}, would have been [bold]{new.value}[/]", highlight=False)
    if found.not_judged:
        console.print(f"{found.not_judged} frames were decided by banks that this says nothing of.", highlight=False)


def _table(found: ThresholdReplay, *, compared: bool) -> Table:
    names = ("fail", "undecided")
    heads = [head for name in names for head in ((name, f"{name} as asked") if compared else (name,))]
    table = Table("shift from", "frames", *heads)
    for column in table.columns[1:]:
        column.justify = "right"
    for begun, tally in sorted(found.shifts.items()):
        table.add_row(f"{begun:%a %d %b %H:%M}", *_cells(tally, compared=compared))
    if len(found.shifts) > 1:
        table.add_row("all", *_cells(found.whole, compared=compared), style="bold")
    return table


def _cells(tally: Tally, *, compared: bool) -> list[str]:
    cells = [str(tally.frames)]
    for verdict in (Verdict.FAIL, Verdict.UNDECIDED):
        cells += [str(tally.was[verdict]), *([str(tally.now[verdict])] if compared else [])]
    return cells


def _threshold_of(in_force: BankInForce, asked: RequestedThreshold, stored: StoredBanks) -> float | None:
    """What is asked, as a threshold of the bank in force; None where its file is gone."""
    if asked.false_reject_ratio is None:
        return asked.threshold or in_force.threshold
    bank = stored.get(in_force.version)
    return None if bank is None else threshold_of(bank, asked.false_reject_ratio)


def _draw(
    console: Console, loaded: Settings, found: ThresholdReplay, stored: StoredBanks, *, title: str, out: Path
) -> None:
    def picture_of(decision: Decision) -> bytes | None:
        frame = frame_of(loaded.kafka, decision)
        return None if frame is None else frame.encoded

    def geometry_of(decision: Decision) -> Geometry | None:
        bank = stored.get(decision.bank.version) if decision.bank else None
        return None if bank is None else bank.manifest.geometry

    sheet, gone = changed_verdicts_sheet(found, title, picture_of=picture_of, geometry_of=geometry_of)
    if sheet is None:
        console.print(
            f"No picture to draw: {gone} are no longer kept." if gone else "No frame would change: no picture."
        )
        return
    out.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out / SHEET), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise CommandFailed(f"cannot write {out / SHEET}; name a folder you may write to")
    console.print(f"Pictures: [bold]{out / SHEET}[/]", soft_wrap=True, highlight=False)


def _applied(
    loaded: Settings,
    asked: RequestedThreshold,
    in_force: BankInForce,
    stored: StoredBanks,
    *,
    view: str,
    why: str,
) -> BankEvent:
    if not asked.anything:
        raise UsageError("--apply needs --false-reject, --threshold, costs or --band")
    bank = _bank(stored, in_force)
    return trainer_commands.send_command(
        loaded, command_for(asked, view, bank, in_force, why=why, at=datetime.now(UTC))
    )


def _report(
    view: str, in_force: BankInForce, asked: RequestedThreshold, stored: StoredBanks, found: ThresholdReplay
) -> dict[str, Any]:
    return {
        "view": view,
        "bank": in_force.version,
        "threshold": in_force.threshold,
        "asked": {
            "false_reject_ratio": asked.false_reject_ratio,
            "threshold": _threshold_of(in_force, asked, stored),
            "band": asked.band,
        },
        "whole": _counts(found.whole),
        "shifts": [{"from": begun.isoformat(), **_counts(tally)} for begun, tally in sorted(found.shifts.items())],
        "changes": [{"was": was, "would_be": now, "frames": n} for (was, now), n in sorted(found.changes.items())],
        "not_judged": found.not_judged,
    }


def _counts(tally: Tally) -> dict[str, Any]:
    return {"frames": tally.frames, "was": dict(tally.was), "would_be": dict(tally.now)}
