"""Whether most frames of a view fail together: a fail then says that the line changed, and nothing of the single part.

The line has changed once at least `line_changed_ratio` of the last `line_changed_frames` frames failed, and is well
again once at most half of them do. All of them were decided by their scores, by one bank with the same limits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from inference.decide import Limits, rule_on
from ingest.decision import LineChange, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference.decide import DecisionFacts, InForce
    from inference.settings import ViewInspection

GridBox = tuple[int, int, int, int]
"""Top, left, bottom and right on the grid of patches; bottom and right lie outside."""

RECOVERED_RATIO = 0.5
"""A line that changed is well again once at most this share of its last frames fails."""
SAME_PLACE_RATIO = 0.8
"""The place is the same where the worst patches of at least this share of the failing frames lie near their median."""
SAME_PLACE_PATCHES = 1
"""So many patches away from it at most, down and across."""


@dataclass(frozen=True)
class ScoredFrame:
    """A frame that was decided by its score; `worst_patch` is the grid row and column of its highest patch score."""

    failed: bool
    worst_patch: tuple[int, int]


@dataclass(frozen=True)
class ChangedPlace:
    """Where the frames differ that fail together; `grid_box` covers their worst patches where these share a place."""

    where: LineChange
    grid_box: GridBox | None = None


@dataclass(frozen=True)
class ScoredBy:
    """What makes the outcomes of two frames comparable: the same bank with the same limits."""

    version: str
    limits: Limits

    @classmethod
    def of(cls, bank: InForce) -> ScoredBy:
        """The bank in force, whatever its epoch: that also counts what changes no verdict."""
        return cls(bank.version, bank.limits)


@dataclass(frozen=True)
class RecentFrames:
    """The last scored frames of a view, oldest first, and whether its line has changed."""

    scored_by: ScoredBy
    frames: tuple[ScoredFrame, ...] = ()
    changed: bool = False

    def after(self, frame: ScoredFrame, inspection: ViewInspection) -> RecentFrames:
        """The same, one frame later; those that are missing at first count as if they had passed."""
        frames = (*self.frames, frame)[-inspection.line_changed_frames :]
        failed_ratio = sum(each.failed for each in frames) / inspection.line_changed_frames
        changed = failed_ratio > RECOVERED_RATIO if self.changed else failed_ratio >= inspection.line_changed_ratio
        return replace(self, frames=frames, changed=changed)

    @property
    def place(self) -> ChangedPlace | None:
        """Where the failing frames differ; None while the line is as it was."""
        return changed_place([each.worst_patch for each in self.frames if each.failed]) if self.changed else None


def changed_place(worst_patches: Sequence[tuple[int, int]]) -> ChangedPlace:
    """One place for most of the failing frames, or many."""
    patches = np.array(worst_patches)
    near = (np.abs(patches - np.median(patches, axis=0)) <= SAME_PLACE_PATCHES).all(axis=1)
    if near.mean() < SAME_PLACE_RATIO:
        return ChangedPlace(LineChange.EVERYWHERE)
    top, left = patches[near].min(axis=0).tolist()
    bottom, right = (patches[near].max(axis=0) + 1).tolist()
    return ChangedPlace(LineChange.SAME_PLACE, (top, left, bottom, right))


def scored_frame(facts: DecisionFacts) -> ScoredFrame | None:
    """What a frame counts as; None where its score did not decide it: late, a fault of the input, no part, a repeat."""
    ruling = rule_on(facts)
    by_score = ruling.reason in (None, Reason.NEAR_THRESHOLD) and not facts.ruled_by_policy
    if facts.evidence is None or facts.duplicate_of is not None or not by_score:
        return None
    return ScoredFrame(ruling.verdict is Verdict.FAIL, facts.evidence.worst_patch)
