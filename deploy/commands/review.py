"""`patchline review`: groups of frames that a build found and did not learn, and what a person says they are."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import UsageError
from deploy.history.annotations import exemplar_frames, find_annotation, find_group, frame_outside, listed
from deploy.history.banks import find_view, view_states
from deploy.history.requested_threshold import StoredBanks
from deploy.output.annotation_rows import (
    CONSEQUENCES,
    UNANSWERED,
    annotation_facts,
    annotation_sentences,
    annotation_table,
)
from deploy.output.event_line import report_event
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.pictures.group_sheet import group_frames, group_header, render_group
from deploy.settings import Settings
from deploy.trainer_commands import new_feedback, send_feedback
from ingest.annotation import FrameAnnotation, Label
from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.feedback import FeedbackKind
from ingest.store import FsspecStore

Group = Annotated[str, typer.Argument(metavar="GROUP", help="Its id, or the start of it; patchline review list.")]
OneView = Annotated[str | None, typer.Argument(metavar="[VIEW]", help="Only this view.")]
Every = Annotated[bool, typer.Option("--all", help="Answered groups, too, and words on single frames.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="PNG", help="Draw its frames there.")]


def list_groups(
    *,
    view: OneView = None,
    every: Every = False,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """List the groups that wait for a word.

    A group is frames that are alike among themselves and unlike the line's other frames: a defect that repeats, a
    variant, an empty belt, dust. It is not learnt until a person says what it is.
    """
    states = view_states(load(settings, flags, bootstrap=bootstrap))
    if view is not None:
        find_view(states, view)
    found = listed(states.values(), view=view, every=every)
    console = Console()
    console.print(annotation_table(found) if found else "No group waits for a word.")
    if any(each.label is Label.OPEN for _, each in found):
        console.print(UNANSWERED)
        console.print("Next: patchline review show VIEW GROUP --out FILE.png", highlight=False)
    write_json(json, {"annotations": [annotation_facts(of, each) for of, each in found]})


def show(
    *,
    view: ViewArgument,
    group: Group,
    out: Out = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Show one group: its figures, and a picture of its frames.

    The picture has a frame beside them that is in no group, where the bank in force keeps one.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    state = _state(loaded, view)
    found = find_annotation(state, group)
    console = Console()
    for sentence in annotation_sentences(view, found):
        console.print(sentence, highlight=False, markup=False)
    if out is not None:
        _draw(loaded, state, found, out)
        console.print(f"Picture: [bold]{out}[/]", soft_wrap=True, highlight=False)
    write_json(json, annotation_facts(view, found))


def _labelling(kind: FeedbackKind, summary: str) -> Callable[..., None]:
    """The command that gives a group the label of this kind; `summary` is its help."""

    def label(
        *,
        view: ViewArgument,
        group: Group,
        why: Why = "by hand",
        settings: SettingsFile = None,
        flags: SetFlags = None,
        bootstrap: Bootstrap = None,
        json: JsonFile = None,
    ) -> None:
        event = _labelled(load(settings, flags, bootstrap=bootstrap), kind, view, group, why=why)
        report_event(event, json)
        Console().print(CONSEQUENCES[kind], highlight=False, markup=False)

    label.__doc__ = summary
    return label


good = _labelling(FeedbackKind.GROUP_GOOD, "Say that a group is a good part, or a variant of it: it is learnt.")
defect = _labelling(FeedbackKind.GROUP_DEFECT, "Say that a group is a defect: it is never learnt.")
no_part = _labelling(FeedbackKind.GROUP_NO_PART, "Say that a group shows no part: neither pass nor fail.")
ignore = _labelling(FeedbackKind.GROUP_IGNORE, "Say that a group's place never counts, in any frame.")
undo = _labelling(FeedbackKind.UNDO, "Take the word on a group back: it is open again.")


def _labelled(loaded: Settings, kind: FeedbackKind, view: str, group: str, *, why: str) -> BankEvent:
    """The trainer's answer to a word on a group."""
    found = find_group(_state(loaded, view), group)
    if kind is FeedbackKind.UNDO and found.label is Label.OPEN:
        raise UsageError(f"{found.id} is open: nobody has said what it is, so there is nothing to take back")
    return send_feedback(loaded, new_feedback(kind, view, why=why, at=datetime.now(UTC), annotation=found.id))


def _state(loaded: Settings, view: str) -> BankState:
    states = view_states(loaded)
    return states[find_view(states, view)]


def _draw(loaded: Settings, state: BankState, found: FrameAnnotation, out: Path) -> None:
    store = FsspecStore.open(loaded.store.url)
    bank = None if state.active is None else StoredBanks(store, state.view).get(state.active.version)
    outside = None if bank is None else frame_outside(bank)
    frames = group_frames(
        exemplar_frames(store, found),
        outside,
        max_pixels=loaded.images.max_pixels,
        geometry=None if bank is None else bank.manifest.geometry,
    )
    title = f"Group {found.id}" if found.origin == "group" else "One frame"
    header = group_header(
        title, state.view, found.box_xyxy, frames=found.frames, share=found.share, label=found.label.value
    )
    write_picture(out, render_group(header, frames, found.box_xyxy))
