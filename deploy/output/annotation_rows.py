"""Groups and words on frames as a command shows them: a table, facts in words, and rows for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from deploy.output.bank_facts import short_version
from deploy.place_on_frame import described_place
from ingest.annotation import Label
from ingest.feedback import FeedbackKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from deploy.history.named_frame import NamedFrame
    from ingest.annotation import FrameAnnotation
    from ingest.decision import Reason, Verdict

UNANSWERED = "Nobody has to answer: the frames of an open group keep failing; nothing else is lost."
COLOURS = {
    Label.OPEN: "yellow",
    Label.GOOD: "green",
    Label.DEFECT: "red",
    Label.NO_PART: "cyan",
    Label.IGNORE: "dim",
}
WORDS = {
    Label.OPEN: "open: nobody has said what it is, so it is not learnt, and its frames keep failing",
    Label.GOOD: "good: it is learnt, and its frames pass",
    Label.DEFECT: "defect: it is never learnt",
    Label.NO_PART: "no part in the picture: such frames are undecided, neither pass nor fail",
    Label.IGNORE: "ignored: the place never counts, in any frame",
}


CONSEQUENCES = {
    FeedbackKind.ESCAPED_DEFECT: "What vouched for it leaves the next bank, which is built now, and every later one.",
    FeedbackKind.FALSE_REJECT: "Its patches count as good in the next bank, which is built now, and in all later ones.",
    FeedbackKind.GOOD: "It counts as good in the next bank, which is built now, and in every later one.",
    FeedbackKind.BAD: "It counts as defective in the next bank, which is built now, and in every later one.",
    FeedbackKind.GROUP_GOOD: (
        "It is learnt from the next bank on, which is built now. If it is another product, send its name in the header "
        "`product` of its frames: it then gets a bank of its own."
    ),
    FeedbackKind.GROUP_DEFECT: "No bank learns it: its frames keep failing.",
    FeedbackKind.GROUP_NO_PART: "From the next bank on, which is built now, such frames are undecided: no_part.",
    FeedbackKind.GROUP_IGNORE: "From the next bank on, which is built now, its place never counts, in any frame.",
    FeedbackKind.UNDO: "The word counts no longer, from the next bank on, which is built now; a group is open again.",
}
"""What comes of a word, for who gave it."""


def frame_sentence(frame: NamedFrame, first_topic: str) -> str:
    """What was decided on the frame that a person names; its topic is named where it is another one than the first."""
    place, decision = f"Frame {frame.source.short(first_topic)}", frame.decision
    if decision is None:
        return f"{place}: no decision on it is found."
    bank = f" by bank {short_version(decision.bank.version)}" if decision.bank else ""
    verdict = verdict_words(decision.verdict, decision.reason, decision.score_ratio)
    return f"{place} ({escape(decision.frame_id)}): {verdict}, {local(decision.decided_at)}{bank}."


def verdict_words(verdict: Verdict, reason: Reason | None, ratio: float | None) -> str:
    """A verdict with its reason and the score over the threshold."""
    why = "" if reason is None else f" ({reason.value})"
    return f"{verdict.value}{why}" + ("" if ratio is None else f", score ratio {ratio:.2f}")


def annotation_table(found: Iterable[tuple[str, FrameAnnotation]]) -> Table:
    """A row for each, with its view."""
    table = Table("view", "id", "label", "share", "frames", "place", "since", "answered")
    for column in table.columns[3:5]:
        column.justify = "right"
    for column in (table.columns[1], table.columns[6]):
        column.no_wrap = True
    for view, each in found:
        table.add_row(
            view,
            short_version(each.id),
            f"[{COLOURS[each.label]}]{each.label.value.replace('_', ' ')}[/]{_of_one_frame(each)}",
            share_words(each),
            str(each.frames),
            described_place(each.box_xyxy),
            f"{each.found_at.astimezone():%d %b %H:%M}",
            "" if each.label is Label.OPEN else escape(f"{each.who}: {each.why}"),
        )
    return table


def _of_one_frame(annotation: FrameAnnotation) -> str:
    return "" if annotation.origin == "group" else " (one frame)"


def annotation_facts(view: str, annotation: FrameAnnotation) -> dict[str, object]:
    """What is known of it, for scripts."""
    facts = annotation.model_dump(mode="json", exclude_none=True)
    return {"view": view, **facts, "place": described_place(annotation.box_xyxy)}


def annotation_sentences(view: str, annotation: FrameAnnotation) -> list[str]:
    """What is known of it, for people, a sentence a line."""
    found = f"{described_place(annotation.box_xyxy)}; since {local(annotation.found_at)}"
    sentences = [_what_it_is(view, annotation), f"Place: {found}."]
    if annotation.label is Label.OPEN:
        return [*sentences, f"It is {WORDS[Label.OPEN]}.", UNANSWERED]
    said = f"said {annotation.who}, {local(annotation.at)}: {annotation.why}"
    return [*sentences, f"It is {WORDS[annotation.label]}; {said}"]


def _what_it_is(view: str, annotation: FrameAnnotation) -> str:
    if annotation.origin == "feedback":
        return f"Word {annotation.id} on one frame of {view}{', which had passed' if annotation.escaped else ''}."
    return (
        f"Group {annotation.id} of {view}: {annotation.frames} frames of the latest window "
        f"({share_words(annotation)}) are alike among themselves and unlike the others."
    )


def share_words(annotation: FrameAnnotation) -> str:
    """The share of the latest window."""
    return f"{100 * annotation.share:.1f} %"


def local(moment: datetime) -> str:
    """A moment by this machine's clock."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
