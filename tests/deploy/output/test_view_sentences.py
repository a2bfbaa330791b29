"""What is said of a view below the table of its banks."""

from __future__ import annotations

from deploy.output.view_sentences import threshold_facts, view_sentences
from ingest.annotation import Label
from ingest.bank_state import BankInForce, BankState
from tests.deploy.annotations import annotation, view_state

BANK = BankInForce(version="a" * 64, uri="a", graph_hash="c" * 64, threshold=7.0)


def test_a_view_that_needs_nobody_has_no_sentence() -> None:
    """Its bank is there, its threshold is the settings', and every group is answered."""
    state = view_state(annotation("g1", Label.GOOD), active=BANK)
    assert list(view_sentences(state, {BANK.version})) == []


def test_what_is_wrong_or_waits_is_said() -> None:
    """A lost file, a threshold that a person asked for, open groups: each with what to do or who did it."""
    asked = {"false_reject_ratio": 0.005, "undecided_band": (0.9, 1.1), "threshold_from": "ana: fewer alarms"}
    state = view_state(annotation("g1"), annotation("g2"), active=BANK, **asked)
    lost, asked_for, waiting = view_sentences(state, set())
    assert lost == (
        "line-1/camera-1: the store has no file of bank aaaaaaaaaaaa, which is in force. The trainer builds a new one "
        "from the frames that Kafka still has, if its store is this one (store.url)."
    )
    assert asked_for == (
        "line-1/camera-1: the threshold is for false rejects of 0.5 % and an undecided band of 0.9 to 1.1, "
        "asked for by ana: fewer alarms."
    )
    assert waiting == (
        "line-1/camera-1: 2 groups wait for a person's word; patchline review list line-1/camera-1 shows what."
    )


def test_one_group_waits() -> None:
    """Of a view that is learning, too."""
    (sentence,) = view_sentences(view_state(annotation("g1")), set())
    assert sentence.startswith("line-1/camera-1: 1 group waits for a person's word;")


def test_a_provisional_view_says_why() -> None:
    """As its state does."""
    state = BankState.model_validate(
        {**dict(view_state(active=BANK)), "state": "provisional", "provisional_because": "the interval is wide"}
    )
    assert list(view_sentences(state, {BANK.version})) == ["line-1/camera-1 is provisional: the interval is wide."]


def test_a_bank_says_where_the_threshold_comes_from() -> None:
    """The view's settings, or who asked; the threshold in force only of the bank that is."""
    state = view_state(active=BANK)
    assert threshold_facts(state, BANK.version) == {
        "threshold_in_force": 7.0,
        "threshold_from": "the view's settings",
        "asked_false_reject_ratio": None,
        "asked_undecided_band": None,
    }
    asked = view_state(active=BANK, false_reject_ratio=0.01, threshold_from="ana: fewer alarms")
    facts = threshold_facts(asked, "b" * 64)
    assert (facts["threshold_in_force"], facts["threshold_from"]) == (None, "ana: fewer alarms")
    assert facts["asked_false_reject_ratio"] == 0.01
