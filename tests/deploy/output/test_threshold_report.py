"""What `patchline threshold` prints and writes."""

from __future__ import annotations

import io
from datetime import UTC, datetime, time, timedelta

from rich.console import Console

from deploy.history.requested_threshold import RequestedThreshold
from deploy.history.threshold_replay import threshold_replay
from deploy.output.threshold_report import ThresholdReport, lasting_words
from inference.decide import Limits
from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankInForce
from tests.deploy.answering_trainer import event
from tests.deploy.history.test_threshold_replay import decision

NIGHT = datetime(2026, 11, 24, 23, tzinfo=UTC)
IN_FORCE = BankInForce(version="ab" * 32, uri="x", graph_hash="c" * 64, threshold=1.0)
DECISIONS = [decision(score, number=n, at=NIGHT + timedelta(hours=9 * n)) for n, score in enumerate((0.5, 1.5))]


def report(requested: RequestedThreshold, threshold: float | None, *, known: bool = True) -> ThresholdReport:
    """Of a pass by night and a fail in the morning, under a threshold of 2 where one is requested."""
    limits = Limits(threshold=2.0, low=2.0, high=2.0) if known else None
    replay = threshold_replay(
        DECISIONS,
        (lambda _: limits) if requested.changes_anything else None,
        hours=[time(6), time(22)],
        zone=UTC,
    )
    return ThresholdReport("line/cam", IN_FORCE, requested, threshold, replay)


def printed(found: ThresholdReport) -> str:
    """What a person sees, in words apart by one space."""
    text = io.StringIO()
    found.print_to(Console(file=text, width=100))
    return " ".join(text.getvalue().replace("│", " ").split())


def test_a_request_is_compared_shift_by_shift() -> None:
    """Both thresholds, both counts, and how many verdicts would change."""
    text = printed(report(RequestedThreshold(threshold=2.0), 2.0))
    assert text.startswith("Bank abababababab: threshold 1, requested 2 (2.00 of it)")
    assert "Tue 24 Nov 22:00 1 0 0 0 0" in text
    assert "Wed 25 Nov 06:00 1 1 0 0 0" in text
    assert "all 2 1 0 0 0" in text
    assert text.endswith("1 frames: fail, would have been pass")


def test_without_a_request_it_shows_what_was_decided() -> None:
    """One threshold, one count of each verdict."""
    text = printed(report(RequestedThreshold(), 1.0))
    assert text.startswith("Bank abababababab: threshold 1 ┏")
    assert "requested" not in text
    assert "all 2 1 0" in text


def test_frames_of_banks_that_are_gone_are_named() -> None:
    """And a threshold that cannot be known without its file is left out."""
    text = printed(report(RequestedThreshold(false_reject_ratio=0.1), None, known=False))
    assert text.startswith("Bank abababababab: threshold 1 ┏")
    assert text.endswith("2 frames were decided by banks to which this threshold does not apply.")


def test_the_document_has_the_same_for_scripts() -> None:
    """Shifts by when they began; a verdict that changes once."""
    document = report(RequestedThreshold(threshold=2.0, band=(0.9, 1.1)), 2.0).to_json()
    assert document["requested"] == {"false_reject_ratio": None, "threshold": 2.0, "band": (0.9, 1.1)}
    assert [each["from"] for each in document["shifts"]] == ["2026-11-24T22:00:00+00:00", "2026-11-25T06:00:00+00:00"]
    assert document["changes"] == [{"was": "fail", "would_be": "pass", "frames": 1}]
    assert document["whole"] == {
        "frames": 2,
        "was": {"pass": 1, "fail": 1, "undecided": 0},
        "would_be": {"pass": 2, "fail": 0, "undecided": 0},
    }


def test_how_long_a_threshold_holds_is_said() -> None:
    """With the ratio that later banks keep, or that the settings decide again."""
    applied = BankEvent.from_bytes(event("c", BankEventKind.THRESHOLD_CHANGED))
    kept = applied.model_copy(update={"facts": {"false_reject_ratio": 0.005}})
    assert lasting_words(kept) == (
        "It lasts: every later bank keeps 0.5 % of false rejects, until another --apply; "
        "--by-settings --apply takes it back."
    )
    given_back = applied.model_copy(update={"facts": {"false_reject_ratio": 0.02, "by_settings": True}})
    assert lasting_words(given_back) == "The view goes by its settings again."
