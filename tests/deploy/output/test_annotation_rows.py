"""Groups and words as people read them."""

from __future__ import annotations

import pytest
from rich.console import Console

from deploy.history.named_frame import NamedFrame
from deploy.output.annotation_rows import (
    CONSEQUENCES,
    UNANSWERED,
    annotation_facts,
    annotation_sentences,
    annotation_table,
    frame_sentence,
)
from ingest.annotation import Label
from ingest.feedback import FeedbackKind
from tests.deploy.annotations import VIEW, annotation
from tests.deploy.runs import decided, source


def printed(*rows: tuple[str, Label]) -> str:
    """The table of these groups, on a wide terminal."""
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(annotation_table([(VIEW, annotation(name, label)) for name, label in rows]))
    return captured.get()


def test_a_row_has_share_frames_place_and_who_answered() -> None:
    """Of an open group nobody."""
    text = printed(("g1", Label.OPEN), ("g2", Label.NO_PART))
    opened, answered = (next(line for line in text.splitlines() if name in line) for name in ("g1", "g2"))
    for words in ("open", "4.0 %", " 16 ", "upper right, x 75 to 100 %, y 0 to 25 %"):
        assert words in opened
    assert "ana" not in opened
    assert "no part" in answered
    assert "worn tool" in answered


def test_a_row_fits_a_narrow_terminal() -> None:
    """The whole id of a word took the room of all other columns: its start is enough for every command."""
    word = annotation("fde192d2-3885-4d87-9b6c-0bbbddbc7f1b", Label.GOOD, origin="feedback")
    console = Console(width=80)
    with console.capture() as captured:
        console.print(annotation_table([(VIEW, word)]))
    text = captured.get()
    assert "fde192d2-388" in text
    assert "0bbb" not in text
    assert "04 May" in text


def test_an_open_group_says_what_happens_if_nobody_answers() -> None:
    """An answered one says who answered, and what it means."""
    sentences = annotation_sentences(VIEW, annotation("g1"))
    assert sentences[0] == (
        "Group g1 of line-1/camera-1: 16 frames of the latest window (4.0 %) are alike among themselves and unlike the "
        "others."
    )
    assert sentences[-1] == UNANSWERED
    answered = annotation_sentences(VIEW, annotation("g1", Label.DEFECT))
    assert answered[-1].startswith("It is defect: it is never learnt; said ana, ")
    assert answered[-1].endswith(": worn tool")


def test_a_word_on_a_frame_is_called_one() -> None:
    """With whether the part had escaped."""
    word = annotation("w1", Label.DEFECT, origin="feedback", escaped=True, box_xyxy=None)
    assert annotation_sentences(VIEW, word)[0] == "Word w1 on one frame of line-1/camera-1, which had passed."
    assert annotation_sentences(VIEW, word)[1].startswith("Place: whole frame; since ")


def test_scripts_get_the_annotation_whole() -> None:
    """With its view, and the place in words."""
    facts = annotation_facts(VIEW, annotation("g1"))
    assert (facts["view"], facts["id"], facts["label"], facts["share"]) == (VIEW, "g1", "open", 0.04)
    assert facts["box_xyxy"] == [0.75, 0.0, 1.0, 0.25]
    assert facts["place"] == "upper right, x 75 to 100 %, y 0 to 25 %"


def test_what_was_decided_on_a_frame_is_one_sentence() -> None:
    """Verdict, ratio, time and bank; without a decision, that there is none."""
    sentence = frame_sentence(NamedFrame(source(7), decided(1.25, offset=7)), "frames")
    assert sentence.startswith("Frame 0:7 (7): fail, score ratio 1.25, 2026-11-2")
    assert sentence.endswith(" by bank a1a1a1a1a1a1.")
    undecided = frame_sentence(NamedFrame(source(7), decided(None, offset=7)), "frames")
    assert undecided.startswith("Frame 0:7 (7): undecided (no_score), 2026-11-2")
    assert frame_sentence(NamedFrame(source(7), None), "frames") == "Frame 0:7: no decision on it is found."


@pytest.mark.parametrize("kind", FeedbackKind)
def test_every_word_says_what_comes_of_it(kind: FeedbackKind) -> None:
    """A kind without a consequence would fail after the word was sent; a good variant learns of the header."""
    assert CONSEQUENCES[kind].endswith(".")
    assert ("`product`" in CONSEQUENCES[kind]) == (kind is FeedbackKind.GROUP_GOOD)
