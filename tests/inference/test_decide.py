"""Verdicts: every row of the table, and the properties no row may break."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.decide import DecisionFacts, InForce, Limits, NoBank, Ruling, ScoreEvidence, decide, rule
from ingest.bank_state import BankInForce
from ingest.contract import SourceRecord
from ingest.decision import Decision, Reason, Verdict, decision_id
from ingest.frame import Frame
from softpatch.images.input_faults import InputFault
from tests.inference.sample_bank import shown

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = InForce(version="a" * 64, epoch=7, limits=Limits(threshold=2.0, low=2.0, high=2.0), provisional=False)
BANDED = InForce(version="a" * 64, epoch=7, limits=Limits(threshold=2.0, low=1.5, high=3.0), provisional=False)
LEARNING = NoBank(Reason.LEARNING)
REFUSED = NoBank(Reason.BANK_REFUSED)


def undecided(reason: Reason) -> Ruling:
    """The ruling that names this reason."""
    return Ruling(Verdict.UNDECIDED, reason)


@pytest.mark.parametrize(
    ("score", "status", "facts_given", "expected"),
    [
        (1.0, PLAIN, {}, Ruling(Verdict.PASS)),
        (2.0, PLAIN, {}, Ruling(Verdict.PASS)),
        (2.0000001, PLAIN, {}, Ruling(Verdict.FAIL)),
        (0.0, PLAIN, {}, Ruling(Verdict.PASS)),
        (1.5, BANDED, {}, Ruling(Verdict.PASS)),
        (1.6, BANDED, {}, undecided(Reason.NEAR_THRESHOLD)),
        (3.0, BANDED, {}, undecided(Reason.NEAR_THRESHOLD)),
        (3.1, BANDED, {}, Ruling(Verdict.FAIL)),
        (nan, PLAIN, {}, undecided(Reason.NO_SCORE)),
        (inf, PLAIN, {}, undecided(Reason.NO_SCORE)),
        (-0.1, PLAIN, {}, undecided(Reason.NO_SCORE)),
        (None, PLAIN, {}, undecided(Reason.NO_SCORE)),
        (1.0, PLAIN, {"late": True}, undecided(Reason.DEADLINE)),
        (9.0, PLAIN, {"late": True}, undecided(Reason.DEADLINE)),
        (9.0, PLAIN, {"dead_letters_over_cap": True}, undecided(Reason.DEAD_LETTER_RATE)),
        (1.6, BANDED, {"dead_letters_over_cap": True}, undecided(Reason.DEAD_LETTER_RATE)),
        (0.1, PLAIN, {"unlike_size": True}, undecided(Reason.FRAME_SIZE)),
        (9.0, PLAIN, {"unlike_size": True, "input_fault": "pass"}, undecided(Reason.FRAME_SIZE)),
        (9.0, PLAIN, {"unlike_size": True, "late": True}, undecided(Reason.DEADLINE)),
        (1.0, PLAIN, {"wrong_clock": True, "late": True}, undecided(Reason.CLOCK)),
        (9.0, PLAIN, {"wrong_clock": True, "input_fault": "fail"}, undecided(Reason.CLOCK)),
        (None, PLAIN, {"wrong_clock": True}, undecided(Reason.NO_SCORE)),
        (1.6, BANDED, {"late": True, "dead_letters_over_cap": True}, undecided(Reason.DEADLINE)),
        (nan, PLAIN, {"late": True}, undecided(Reason.NO_SCORE)),
        (1.0, LEARNING, {"late": True, "dead_letters_over_cap": True}, undecided(Reason.LEARNING)),
        (None, REFUSED, {"late": True}, undecided(Reason.BANK_REFUSED)),
        (1.0, PLAIN, {"input_fault": "undecided"}, undecided(Reason.INPUT_FAULT)),
        (1.6, BANDED, {"input_fault": "undecided"}, undecided(Reason.INPUT_FAULT)),
        (9.0, PLAIN, {"input_fault": "pass"}, Ruling(Verdict.PASS)),
        (1.0, PLAIN, {"input_fault": "fail"}, Ruling(Verdict.FAIL)),
        (1.0, PLAIN, {"input_fault": "inspect"}, Ruling(Verdict.PASS)),
        (9.0, PLAIN, {"input_fault": "inspect"}, Ruling(Verdict.FAIL)),
        (1.0, PLAIN, {"input_fault": "pass", "late": True}, undecided(Reason.DEADLINE)),
        (nan, PLAIN, {"input_fault": "pass"}, undecided(Reason.NO_SCORE)),
        (1.0, LEARNING, {"input_fault": "pass"}, undecided(Reason.LEARNING)),
        (9.0, PLAIN, {"no_part": True}, undecided(Reason.NO_PART)),
        (1.6, BANDED, {"no_part": True}, undecided(Reason.NO_PART)),
        (1.0, PLAIN, {"no_part": True}, Ruling(Verdict.PASS)),
        (9.0, PLAIN, {"no_part": True, "late": True}, undecided(Reason.DEADLINE)),
        (9.0, PLAIN, {"no_part": True, "input_fault": "undecided"}, undecided(Reason.INPUT_FAULT)),
        (9.0, PLAIN, {"no_part": True, "line_changed": True}, undecided(Reason.NO_PART)),
        (9.0, PLAIN, {"line_changed": True}, undecided(Reason.LINE_CHANGED)),
        (1.0, PLAIN, {"line_changed": True}, Ruling(Verdict.PASS)),
        (1.6, BANDED, {"line_changed": True}, undecided(Reason.NEAR_THRESHOLD)),
        (9.0, PLAIN, {"line_changed": True, "input_fault": "fail"}, Ruling(Verdict.FAIL)),
        (9.0, PLAIN, {"line_changed": True, "late": True}, undecided(Reason.DEADLINE)),
    ],
)
def test_the_first_reason_that_applies_is_given(
    score: float | None, status: InForce | NoBank, facts_given: dict[str, Any], expected: Ruling
) -> None:
    """No bank, no score, deadline, dead letters, input fault, no part, near the threshold, line changed, fail, pass."""
    assert rule(score, status, **facts_given) == expected


SCORES = st.one_of(st.none(), st.floats())
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)


@st.composite
def statuses(draw: st.DrawFn) -> InForce | NoBank:
    """A bank in force with ordered limits, or none."""
    if draw(st.booleans()):
        return draw(st.sampled_from([LEARNING, REFUSED]))
    low, threshold, high = sorted(draw(st.tuples(POSITIVE, POSITIVE, POSITIVE)))
    limits = Limits(threshold=threshold, low=low, high=high)
    return InForce(version="a" * 64, epoch=0, limits=limits, provisional=draw(st.booleans()))


@given(score=SCORES, status=statuses(), late=st.booleans(), over=st.booleans())
def test_a_pass_always_has_a_bank_a_score_within_limits_and_time(
    score: float | None, status: InForce | NoBank, *, late: bool, over: bool
) -> None:
    """Never a silent pass, whatever the floats: NaN and infinities included."""
    if rule(score, status, late=late, dead_letters_over_cap=over).verdict is Verdict.PASS:
        assert isinstance(status, InForce)
        assert score is not None
        assert 0 <= score <= status.limits.low
        assert not late
        assert not over


@given(score=SCORES, status=statuses(), late=st.booleans(), over=st.booleans())
def test_every_fact_gives_a_decision_the_contract_takes(
    score: float | None, status: InForce | NoBank, *, late: bool, over: bool
) -> None:
    """No float reaches the wire that its reader would refuse."""
    decision = decide(facts(score, status, late=late, dead_letters_over_cap=over))
    assert Decision.from_bytes(decision.to_bytes()) == decision


def facts(score: float | None, status: InForce | NoBank, **facts_given: object) -> DecisionFacts:
    """One frame's facts, on time and first of its id unless they say otherwise."""
    evidence = (
        None
        if score is None
        else ScoreEvidence(score=score, worst_patch=(0, 0), provider="CPU", precision="fp32", sketch=(0.5,) * 32)
    )
    source = SourceRecord(topic="frames", partition=3, offset=41)
    plain: dict[str, Any] = {
        "frame": Frame(
            view="line/cam", key="line/cam", frame_id="x-4", encoded=b"", source=source, appended_ms=0, sequence=4
        ),
        "status": status,
        "seen": shown(0xABC),
        "evidence": evidence,
        "late": False,
        "wrong_clock": False,
        "dead_letters_over_cap": False,
        "input_fault": None,
        "input_fault_policy": "undecided",
        "change_bits": 3,
        "duplicate_of": None,
        "appended_at": AT,
        "decided_at": AT,
        "queue_seconds": 0.25,
        "stage_seconds": {"decode": 0.001},
    }
    return DecisionFacts(**{**plain, **facts_given})


def test_a_late_frame_keeps_its_score() -> None:
    """Undecided, but what was found is told: score, threshold and bank."""
    decision = decide(facts(3.0, PLAIN, late=True))
    assert (decision.verdict, decision.reason) == (Verdict.UNDECIDED, Reason.DEADLINE)
    assert (decision.score, decision.threshold, decision.score_ratio) == (3.0, 2.0, 1.5)
    assert decision.bank is not None
    assert (decision.bank.version, decision.bank.epoch) == ("a" * 64, 7)


def test_a_decision_says_what_is_known_without_a_bank() -> None:
    """A view that still learns is told what its pictures look like."""
    decision = decide(facts(None, LEARNING))
    assert decision.id == decision_id("line/cam", "x-4")
    assert (decision.difference_hash, decision.change_bits) == ("0000000000000abc", 3)
    assert decision.size_wh_px == (640, 480)
    assert (decision.bank, decision.score, decision.threshold, decision.sketch) == (None, None, None, None)


def test_an_unusable_score_leaves_no_trace_but_its_bank() -> None:
    """What was derived from NaN is not evidence; which bank gave it is."""
    decision = decide(facts(nan, PLAIN))
    assert decision.reason is Reason.NO_SCORE
    assert (decision.score, decision.score_ratio, decision.sketch) == (None, None, None)
    assert decision.threshold == 2.0
    assert decision.bank is not None


@pytest.mark.parametrize(("score", "verdict"), [(1.0, Verdict.PASS), (3.0, Verdict.FAIL)])
def test_provisional_is_copied_and_changes_no_verdict(score: float, verdict: Verdict) -> None:
    """A provisional bank passes and fails like any other."""
    status = InForce(version="b" * 64, epoch=1, limits=PLAIN.limits, provisional=True)
    decision = decide(facts(score, status))
    assert decision.verdict is verdict
    assert decision.provisional


def test_an_input_fault_is_named_whatever_the_policy_makes_of_it() -> None:
    """Also while the view learns: what is wrong with the camera is known before any bank."""
    black = {"input_fault": InputFault.BLACK}
    for status, policy in ((PLAIN, "undecided"), (PLAIN, "pass"), (PLAIN, "inspect"), (LEARNING, "undecided")):
        assert decide(facts(1.0, status, **black, input_fault_policy=policy)).input_fault is InputFault.BLACK
    assert decide(facts(1.0, PLAIN, **black)).reason is Reason.INPUT_FAULT
    assert decide(facts(1.0, PLAIN, input_fault_policy="fail")).verdict is Verdict.PASS


def test_limits_that_are_absent_are_the_threshold() -> None:
    """A bank in force with only a threshold has no band of doubt."""
    bank = BankInForce(version="a" * 64, uri="banks/x", graph_hash="b" * 64, threshold=2.0, high_limit=2.5)
    assert Limits.of(bank) == Limits(threshold=2.0, low=2.0, high=2.5)
