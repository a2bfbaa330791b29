"""`patchline shadow`: what a bank that is being tried decides otherwise than the bank in force."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, load
from deploy.errors import CommandFailed
from deploy.history.banks import find_view, view_states
from deploy.history.decision_reader import decisions_of, frame_of
from deploy.history.requested_threshold import StoredBanks
from deploy.output.bank_facts import short_version
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.pictures.annotated_frame import AnnotatedFrame
from deploy.pictures.contact_sheet import SheetHeader, render_cards, title_of
from deploy.settings import Settings
from ingest.bank_state import BankInForce
from ingest.claims import Claims
from ingest.decision import Decision, Verdict
from ingest.store import FsspecStore
from softpatch.bank import Bank
from trainer.shadow import ShadowTally

Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="PNG", help="Draw the frames that are decided otherwise there.")
]

SHOWN = 12
"""Frames of each kind on the picture, the newest."""
TITLES = {Verdict.FAIL: "Would fail, passed", Verdict.PASS: "Would pass, failed"}


def shadow(
    *,
    view: ViewArgument,
    out: Out = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Show what a bank that is being tried decides otherwise.

    Of the sample of frames that it scored beside the bank in force, as far as Kafka keeps them. `patchline bank promote
    VIEW` puts it in force.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    states = view_states(loaded)
    state = states[find_view(states, view)]
    tried = state.shadow
    if tried is None:
        raise CommandFailed(f"no bank of {view} is being tried; views.PATTERN.promotion says when one is")
    since = state.shadow_since or datetime.fromtimestamp(0, UTC)
    scored = [
        each
        for each in decisions_of(loaded.kafka, view, since=since, topic="decisions.shadow")
        if each.bank is not None and each.bank.version == tried.version
    ]
    tally = ShadowTally(tried.version)
    for each in scored:
        tally = tally.after(each)
    flips = [each for each in scored if flipped(each)]
    console = Console()
    console.print(
        f"Bank [bold]{short_version(tried.version)}[/] scored {tally.frames} frames of {view} since "
        f"{since.astimezone():%Y-%m-%d %H:%M}: {tally.now_fail} that passed would fail, {tally.now_pass} that failed "
        "would pass.",
        soft_wrap=True,
        highlight=False,
    )
    for each in flips[-SHOWN:]:
        console.print(_line(each, loaded.kafka.topic("frames")), highlight=False)
    if out is not None:
        _draw(console, loaded, view=view, tried=tried, tally=tally, flips=flips, out=out)
    write_json(
        json,
        {
            "view": view,
            "bank": tried.version,
            "since": since.isoformat(),
            **tally.facts,
            "decided_otherwise": [each.model_dump(mode="json", exclude_none=True) for each in flips],
        },
    )


def flipped(decision: Decision) -> bool:
    """Whether one bank passes the frame and the other fails it."""
    beside = decision.in_force
    return beside is not None and {beside.verdict, decision.verdict} == {Verdict.PASS, Verdict.FAIL}


def _line(decision: Decision, first_topic: str) -> str:
    beside = decision.in_force
    was = 0.0 if beside is None or beside.score_ratio is None else beside.score_ratio
    at = decision.source.short(first_topic)
    return (
        f"{decision.decided_at.astimezone():%d %b %H:%M:%S}  {at}  {was:.2f} of the threshold in "
        f"force, {decision.score_ratio or 0.0:.2f} of the tried bank's: would {decision.verdict.value}"
    )


def _draw(
    console: Console,
    loaded: Settings,
    *,
    view: str,
    tried: BankInForce,
    tally: ShadowTally,
    flips: list[Decision],
    out: Path,
) -> None:
    bank = StoredBanks(FsspecStore.open(loaded.store.url), view).get(tried.version)
    claims, groups = claims_of(loaded), []
    for verdict, words in TITLES.items():
        of_kind = [each for each in flips if each.verdict is verdict]
        frames = [] if bank is None else _annotated(loaded, claims, of_kind[-SHOWN:], bank)
        groups.append((title_of(words, len(of_kind), room=len(frames)), frames))
    if not any(frames for _, frames in groups):
        console.print("No picture to draw: no frame is decided otherwise, or Kafka keeps none of them.")
        return
    line = f"{view}: bank {short_version(tried.version)} beside the bank in force"
    figures = [("frames", str(tally.frames)), ("would fail", str(tally.now_fail)), ("would pass", str(tally.now_pass))]
    write_picture(out, render_cards(groups, SheetHeader("Decided otherwise in shadow", line, figures)))
    console.print(f"Picture: [bold]{out}[/]", soft_wrap=True, highlight=False)


def _annotated(loaded: Settings, claims: Claims, decisions: list[Decision], bank: Bank) -> list[AnnotatedFrame]:
    found = []
    for each in decisions:
        frame = frame_of(loaded.kafka, claims, each)
        if frame is not None:
            at = each.decided_at.astimezone().strftime("%d %b %H:%M:%S")
            name = f"{at}, {each.source.short(loaded.kafka.topic('frames'))}"
            was = None if each.in_force is None else each.in_force.verdict
            found.append(AnnotatedFrame(name, frame.encoded, each, bank.manifest.geometry, was=was))
    return found
