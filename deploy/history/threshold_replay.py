"""Recorded decisions decided again by another threshold: counts by shift, and which verdicts change. No I/O."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inference.decide import Limits, by_score, unless_explained
from ingest.decision import Decision, Reason, Verdict
from monitoring.shifts import shift_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, time, tzinfo

    from ingest.decision import InputFaultPolicy

    LimitsOf = Callable[[Decision], Limits | None]
    """The limits by which a decision with a score is decided again; None where they cannot be known."""

KEPT_CHANGES = 500
"""Decisions kept of those that would change, the first of each kind; the others are only counted."""

BY_SCORE = (None, Reason.NEAR_THRESHOLD, Reason.NO_PART, Reason.LINE_CHANGED)
"""Of decisions whose reason is another one, no threshold would have changed the verdict."""


@dataclass(frozen=True)
class ChangedVerdict:
    """A decision as it was, and as it would have been with another verdict."""

    was: Decision
    now: Decision


@dataclass
class Tally:
    """Frames, and how many had each verdict: as it was, and as it would have been."""

    frames: int = 0
    was: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    now: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))

    def count(self, was: Verdict, now: Verdict) -> None:
        """One frame more."""
        self.frames += 1
        self.was[was] += 1
        self.now[now] += 1


@dataclass
class ThresholdReplay:
    """The counts of a replay. `not_judged` frames were decided by banks whose limits cannot be known any more."""

    whole: Tally = field(default_factory=Tally)
    shifts: dict[datetime, Tally] = field(default_factory=lambda: defaultdict(Tally))
    changes: dict[tuple[Verdict, Verdict], int] = field(default_factory=lambda: defaultdict(int))
    changed: list[ChangedVerdict] = field(default_factory=list)
    not_judged: int = 0

    def changed_to(self, now: Verdict) -> list[ChangedVerdict]:
        """The kept changes to this verdict, the largest score first."""
        found = [each for each in self.changed if each.now.verdict is now]
        return sorted(found, key=lambda each: -(each.now.score_ratio or 0.0))


def threshold_replay(
    decisions: Iterable[Decision],
    limits_of: LimitsOf | None,
    *,
    hours: Sequence[time],
    zone: tzinfo | None,
    input_fault: InputFaultPolicy = "undecided",
) -> ThresholdReplay:
    """Decide recorded decisions again, by the limits of each; without `limits_of` they stay as they were.

    `zone` None is the machine's own: shifts begin at its hours. `input_fault` is the view's policy.
    """
    result = ThresholdReplay()
    for was in decisions:
        now = was if limits_of is None else decided_again(was, limits_of, input_fault=input_fault)
        if now is None:
            result.not_judged += 1
            continue
        result.whole.count(was.verdict, now.verdict)
        result.shifts[shift_of(was.decided_at, hours, zone)].count(was.verdict, now.verdict)
        if now.verdict is not was.verdict:
            change = (was.verdict, now.verdict)
            result.changes[change] += 1
            if result.changes[change] <= KEPT_CHANGES:
                result.changed.append(ChangedVerdict(was, now))
    return result


def decided_again(
    was: Decision, limits_of: LimitsOf, *, input_fault: InputFaultPolicy = "undecided"
) -> Decision | None:
    """The decision under other limits; itself where none would have changed it, None where none are known."""
    if was.score is None or was.bank is None or was.reason not in BY_SCORE or _by_policy(was, input_fault):
        return was
    limits = limits_of(was)
    if limits is None:
        return None
    ruling = unless_explained(
        by_score(was.score, limits),
        no_part=was.reason is Reason.NO_PART,
        line_changed=was.reason is Reason.LINE_CHANGED,
    )
    changed = {
        "verdict": ruling.verdict,
        "reason": ruling.reason,
        "line_change": was.line_change if ruling.reason is Reason.LINE_CHANGED else None,
        "threshold": limits.threshold,
        "score_ratio": was.score / limits.threshold,
    }
    return Decision.model_validate({**dict(was), **changed})


def _by_policy(was: Decision, input_fault: InputFaultPolicy) -> bool:
    """Whether a frame that shows nothing to judge was passed or failed for that, whatever it scored.

    A decision does not record the policy of its day: the view's present one is taken, but where only a score gives such
    a reason.
    """
    return was.input_fault is not None and was.reason is None and input_fault != "inspect"
