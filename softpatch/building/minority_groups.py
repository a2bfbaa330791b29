"""Groups of the few: frames that are alike among themselves at one place and unlike the many, whatever their share.

Nearest neighbours cannot tell them: what repeats has near neighbours. Distances to the many tell them badly: a mark
adds little to what parts differ by anyway. Matched filters do (softpatch/building/matched_filters.py). What they find
is a group where it is clearer than what goes together by chance, and where its frames would fail were they not learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.group_drafts import LEAST_GAP, AskedGroup, FrameSet, GroupDraft, group_drafts
from softpatch.building.matched_filters import filter_responses
from softpatch.building.merged_drafts import merged_drafts
from softpatch.building.projection import ProjectedGroups
from softpatch.calibration.extreme_value import gev_grid, posterior

LEAST_SPACING = 2.0
"""How many times the spacing of a window's own tenth clearest draft a group's must be. Every window has frames that go
together, by chance or for reasons of their own: where they also stand out and are of the few, up to 1.7 times in thirty
clean windows of 60 impellers, tiles and simulated rings (of 394 of 60 to 300 frames nine ask); 3.1 to 19 times for
painted marks, 1.1 for the faintest. Not derived but measured; evidence has to do the rest."""

LEAST_REACH = 2.2
"""The same of the reach, for a faint mark whose faintest frames leave it no spacing: of what has none 1.9 times at most
in such clean windows and 2.1 on ball screws, 2.4 or more for all but the faintest of marks. Where groups are known, few
drafts are left to measure against, and dust on the lens reaches as far: there it does not count."""

PLAIN_REACH = 4.2
"""From here on a group is of the few where no more of the others stand out as far than it has frames. Once as many as
58 of their own nearest are left out, the ends of a spread stand out as far as a faint mark does: 13 % of the others,
but one for three of its own. What is natural reaches 3.6 times at most, marks on 40 or 60 of 200 frames 4.8 or more."""

LEAST_CLEARNESS = 2.0
"""The same of the clearness, for a group that an earlier build asked about: there is nothing left to ask, and a variant
that a person called good, or a mark, is the same with fewer frames, or beside a lens with dust, as it was."""

RAREST = 0.1
"""A group's typical frame, its like left out, must be among the tenth of frames that stand out most: below it would
hardly fail were it not learnt, so that there is nothing to ask."""

WINDOWS_PER_QUESTION = 20
"""By chance alone a window in so many may ask one question."""


@dataclass(frozen=True)
class MinorityGroup:
    """Frames that are alike at a place and unlike the many.

    `cells` are the positions that differ, `core` those that differ most. `clearness` is the gap between its frames and
    the others, in the others' standard deviations, times the root of its size; by place, over that of other drafts.
    """

    frames: tuple[int, ...]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    representative: int
    clearness: float
    frame_cells: Bool[np.ndarray, "g p q"] | None = None
    """The positions of each of its frames, where parts lie turned and shifted; None: `cells`, in all of them."""


def minority_groups(
    projected: ProjectedGroups,
    factors: Float32[np.ndarray, "n p q"],
    asked: Sequence[AskedGroup] = (),
) -> tuple[MinorityGroup, ...]:
    """The groups of the few of an aligned window, the clearest first; `factors` are expected-nearest's of all frames.

    Those that earlier builds asked about are found again; one that is kept out need not be of the few: of a window half
    may show dust. Interleaved groups are looked at one after the other, as by the discriminator: memory holds one.
    """
    suspicion = factors.reshape(len(factors), -1).max(axis=1)
    drafts: list[GroupDraft] = []
    for part, (frames, patches) in enumerate(projected):
        responses = filter_responses(patches, least_gap=LEAST_GAP)
        drafts += group_drafts(FrameSet(part, np.array(frames), patches), responses, asked)
    needed = float(np.log(WINDOWS_PER_QUESTION * factors.size))
    merged = merged_drafts(drafts, lambda added: _evidence(added, suspicion) >= needed)
    rated = [(draft, _evidence(draft, suspicion)) for draft in merged]
    chosen = sorted((pair for pair in rated if _is_group(*pair, needed, asked)), key=lambda pair: -pair[1])
    return tuple(_group(draft) for draft, _ in chosen)


def _is_group(draft: GroupDraft, nats: float, needed: float, asked: Sequence[AskedGroup]) -> bool:
    """Worth a question, or known."""
    known = [each for each in asked if each.held_by(draft.frames)]
    reach = 0.0 if asked else draft.reach
    plain = reach >= PLAIN_REACH and draft.alike_per_member <= 1
    few = draft.of_the_few or plain or any(each.kept_out for each in known)
    rare = nats >= -len(draft.frames) * np.log(RAREST)
    clear = draft.spacing >= LEAST_SPACING or reach >= LEAST_REACH
    found_again = bool(known) and draft.clearness >= LEAST_CLEARNESS
    return bool(few and rare and (clear or found_again) and nats >= needed)


def _evidence(draft: GroupDraft, suspicion: Float32[np.ndarray, "n"]) -> float:
    """How unlikely it is that so many ordinary frames stand out so far, in nats: the median frame counts for all.

    By the distribution of the other frames' suspicion, which other defects among them hardly move.
    """
    others = np.delete(suspicion, draft.frames)
    if len(others) < 2:  # noqa: PLR2004 - no distribution of one
        return 0.0
    known = posterior(others)
    weights = known.weights.sum(axis=1)
    standard = (float(np.log(np.median(draft.suspicion))) - known.binned.middle) / known.binned.unit
    beyond = float(gev_grid().beyond(standard) @ weights / weights.sum())
    return -len(draft.frames) * float(np.log(max(beyond, 1e-12)))


def _group(draft: GroupDraft) -> MinorityGroup:
    return MinorityGroup(
        frames=tuple(draft.frames.tolist()),
        cells=draft.cells,
        core=draft.core,
        representative=draft.representative,
        clearness=draft.clearness,
    )
