"""`patchline feedback`: a person's word on one frame, or taking it back."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import CommandFailed
from deploy.history.annotations import exemplar_frames, find_word
from deploy.history.banks import find_view, view_states
from deploy.history.moments import moment_from
from deploy.history.named_frame import find_frame, picture_at
from deploy.history.word_on_frame import FrameWord, box_from, feedback_on
from deploy.offline.score_image import ImageScorer, ScoredImage
from deploy.output.annotation_rows import CONSEQUENCES, frame_sentence, verdict_words
from deploy.output.bank_facts import short_version
from deploy.output.event_line import print_event
from deploy.output.reports import write_json
from deploy.settings import Settings
from deploy.trainer_commands import ANSWER_SECONDS, TrainerRequest, new_feedback
from inference.decide import Limits
from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankState
from ingest.feedback import Feedback, FeedbackKind
from ingest.store import FsspecStore
from ingest.store_layout import bank_path

FrameName = Annotated[
    str,
    typer.Argument(
        metavar="FRAME",
        help="[topic:]partition:offset, a frame id, or the start of a decision's id; for undo the word's id.",
    ),
]
Word = Annotated[FrameWord, typer.Argument(metavar="WORD", help="escaped, false-reject, good, bad, or undo.")]
BoxOnFrame = Annotated[
    str | None, typer.Option("--box", metavar="X0,Y0,X1,Y1", help="Where on the frame, in its pixels.")
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Frame ids: decided since 8h, 7d ago, or a time.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the next bank, and show what the frame is by it.")]

BANK_SECONDS = 300.0
"""For a build of a full window on a small machine, and its promotion."""


def feedback(
    *,
    view: ViewArgument,
    frame: FrameName,
    word: Word,
    box: BoxOnFrame = None,
    why: Why = "by hand",
    since: Since = "24h",
    wait: Wait = False,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Say of one frame that it was decided wrongly; take a word back.

    `good` and `bad` say what the part is, however it was decided. A bank that follows the word is built at once, and
    every later one follows it, too. Without --box a false reject is
    about the regions that were decided, any other word about the whole frame.
    """
    box_px, loaded = None if box is None else box_from(box), load(settings, flags, bootstrap=bootstrap)
    states, console = view_states(loaded), Console()
    state = states[find_view(states, view)]
    if word is FrameWord.UNDO:
        message, picture = _undo(loaded, state, frame, why, picture_needed=wait)
    else:
        now = datetime.now(UTC)
        named = find_frame(loaded.kafka, view, frame, since=moment_from(since, now=now), now=now)
        console.print(frame_sentence(named, loaded.kafka.topic("frames")), highlight=False, soft_wrap=True)
        message = feedback_on(named, word, view=view, box_xyxy_px=box_px, why=why, at=now)
        picture = picture_at(loaded.kafka, claims_of(loaded), named.source).encoded if wait else None
    with TrainerRequest.sent(loaded, message) as request:
        answer = request.answer(ANSWER_SECONDS, what=message.kind.value)
        print_event(console, answer)
        console.print(CONSEQUENCES[message.kind], highlight=False, markup=False)
        document: dict[str, object] = {"answer": answer.model_dump(mode="json", exclude_none=True)}
        if picture is not None:
            console.print("Waiting for the next bank.")
            document["now"] = _by_next_bank(loaded, request, answer, picture, console)
    write_json(json, document)


def _undo(
    loaded: Settings, state: BankState, start: str, why: str, *, picture_needed: bool
) -> tuple[Feedback, bytes | None]:
    """The taking back of a word, and its picture, which the store forgets with it."""
    found = find_word(state, start)
    picture = None
    if picture_needed:
        _, picture = exemplar_frames(FsspecStore.open(loaded.store.url), found)[0]
    return new_feedback(FeedbackKind.UNDO, state.view, why=why, at=datetime.now(UTC), annotation=found.id), picture


def _by_next_bank(
    loaded: Settings, request: TrainerRequest, answer: BankEvent, picture: bytes, console: Console
) -> dict[str, object]:
    """Wait until the bank that follows the word is in force, and print what the frame is by it."""
    event = request.first(lambda each: _ends_the_build(each, answer), BANK_SECONDS)
    if event is None:
        raise CommandFailed(f"no new bank within {BANK_SECONDS:g} s; patchline bank list shows when it is there")
    if event.kind is BankEventKind.BUILD_FAILED:
        raise CommandFailed(f"the word is kept, but no bank could be built: {event.why}")
    if event.kind is BankEventKind.REFUSED:
        raise CommandFailed(f"the word is kept, but its bank is not in force: {event.why}")
    version, scored = str(event.bank_version), _scored(loaded, answer.view, str(event.bank_version), picture)
    console.print(
        f"By bank {short_version(version)}: {verdict_words(scored.ruling.verdict, scored.ruling.reason, scored.ratio)}",
        highlight=False,
    )
    return {"bank": version, **scored.to_json()}


def _ends_the_build(event: BankEvent, answer: BankEvent) -> bool:
    """Whether a bank that follows the word is in force, or refused, or its build failed; a later word stops it."""
    if event.kind in (BankEventKind.PROMOTED, BankEventKind.REFUSED):
        return event.epoch > answer.epoch
    stopped = bool(event.facts.get("stopped"))
    return event.kind is BankEventKind.BUILD_FAILED and event.command_id == answer.command_id and not stopped


def _scored(loaded: Settings, view: str, version: str, picture: bytes) -> ScoredImage:
    """The picture by a bank of the view, with the threshold in force where it is that bank's."""
    state = view_states(loaded)[view]
    active = state.active
    limits = Limits.of(active) if active is not None and active.version == version else None
    bank_file = FsspecStore.open(loaded.store.url).get(bank_path(view, version))
    return ImageScorer.of(bank_file, loaded, limits=limits).score(picture)
