"""From outlier factors and known labels to the groups of a window and the masks that follow from all labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from softpatch.building.denoise import NoiseMask, PatchLabels
from softpatch.building.faint_members import faint_members
from softpatch.building.group_drafts import AskedGroup
from softpatch.building.joining_frames import JoiningFrames
from softpatch.building.label_masks import (
    JOINED,
    NOT_LEARNT,
    LabelledGroup,
    frames_not_learnt,
    good_rows,
    joined,
    labelled_groups,
    patch_labels,
    patches_elsewhere,
    still_named,
)
from softpatch.building.labels import Exemplars
from softpatch.building.minority_groups import MinorityGroup, minority_groups
from softpatch.building.negatives import negative_patches, vouching_patches
from softpatch.building.projection import ProjectedGroups
from softpatch.building.quarantine import with_quarantined
from softpatch.building.turned_window import TurnedWindow
from softpatch.building.unaligned_groups import unaligned_groups
from softpatch.building.window import TooFewFrames
from softpatch.scoring.score import in_metric
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class KnownLabels:
    """What is known before a build: the frames read behind the window's, and which of all frames have which label.

    `quarantined` gives the groups that the bank in force fails, by whether parts lie alike in every frame.
    """

    window_frames: int
    exemplars: Sequence[Exemplars] = field(default_factory=tuple)
    quarantined: Callable[[bool], Sequence[MinorityGroup]] = lambda _: ()
    joining: JoiningFrames | None = None
    """Which frames are of a group that the bank in force fails, where parts lie alike, though it passes them."""
    named: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By the id of a group, the window's frames that the bank in force names in it."""
    ignored: Bool[np.ndarray, "p q"] | None = None
    """Grid positions that never score, by the view's regions."""


@dataclass(frozen=True)
class WindowLabels:
    """The groups of a window and what all labels make of its patches and frames."""

    known: KnownLabels
    groups: Sequence[LabelledGroup]
    patches: PatchLabels
    not_learnt: Bool[np.ndarray, "frames"]
    elsewhere: Bool[np.ndarray, "frames p q"]
    """Of frames that are not learnt, the patches that count for the threshold all the same."""

    @property
    def no_part_rows(self) -> list[int]:
        """The frames without a part, labelled ones behind the window's included."""
        rows = {row for each in self.groups if each.label == "no_part" for row in each.rows}
        rows |= {row for each in self.known.exemplars if each.labelled.label == "no_part" for row in each.rows}
        return sorted(rows)

    @property
    def called_good(self) -> Bool[np.ndarray, "frames"]:
        """The window's frames that are of a good group, or have a person's word that they are good."""
        found = np.zeros(self.known.window_frames, np.bool_)
        found[[row for row in good_rows(self.groups, self.known.exemplars) if row < len(found)]] = True
        return found

    @property
    def known_not_learnt(self) -> Bool[np.ndarray, "frames"]:
        """The window's frames of groups that earlier builds found, and of words, that are not learnt."""
        known = [each for each in self.groups if each.id is not None]
        return frames_not_learnt(known, self.known.exemplars, window_frames=self.known.window_frames)


def label_window(
    projected: ProjectedGroups,
    mask: NoiseMask,
    settings: BuildSettings,
    known: KnownLabels,
    turned: TurnedWindow | None = None,
) -> WindowLabels:
    """Find the groups, give them the labels they are known by, and keep what vouches for a known defect out.

    `turned` is what is known of a window whose parts lie turned: what is doubtful in it is kept out, too, unless a
    person called it good.

    Raises:
        TooFewFrames: when fewer frames are left to learn from than a bank needs.
    """
    asked = [
        AskedGroup(each.rows, kept_out=each.labelled.label in NOT_LEARNT)
        for each in known.exemplars
        if each.labelled.origin == "group"
    ]
    found = with_quarantined(_found(projected, mask, settings, turned, asked), known.quarantined(mask.aligned))
    groups = still_named(labelled_groups(found, known.exemplars, window_frames=known.window_frames), known.named)
    if mask.aligned:
        faint, joining = faint_members(projected, groups), known.joining
        passing = [joining.of(each.rows) if joining and each.label in JOINED else () for each in groups]
        new = [{*some, *others} for some, others in zip(faint, passing, strict=True)]
        groups = joined(groups, known.exemplars, new, window_frames=known.window_frames)
    not_learnt = frames_not_learnt(groups, known.exemplars, window_frames=known.window_frames)
    patches = patch_labels(mask.factors, groups, known.exemplars, window_frames=known.window_frames)
    if known.ignored is not None:
        patches = replace(patches, ignored=known.ignored)
    elsewhere = patches_elsewhere(
        groups,
        known.exemplars,
        inspected=~patches.ignored,
        window_frames=known.window_frames,
        blur_cells=settings.blur_cells,
    )
    if turned is not None:
        patches.excluded[:] |= turned.suspicious & ~patches.confirmed
        doubtful = turned.doubtful.copy()
        doubtful[[row for row in good_rows(groups, known.exemplars) if row < known.window_frames]] = False
        not_learnt |= doubtful
    defects = [
        each for each in known.exemplars if (each.labelled.label, each.labelled.origin) == ("defect", "feedback")
    ]
    negatives = []
    for each in defects:
        named = negative_patches(projected.embeddings, mask.factors, each, window_frames=known.window_frames)
        negatives.append(in_metric(named, mask.metric))
        vouching = vouching_patches(
            projected, mask.factors, each, window_frames=known.window_frames, aligned=mask.aligned
        )
        patches.excluded[: known.window_frames] |= vouching.patches
        not_learnt |= vouching.frames
        elsewhere[vouching.frames] = False
    learnt = int((~not_learnt).sum())
    if not_learnt.any() and learnt < settings.fewest_frames:
        raise TooFewFrames(
            f"{learnt} of {known.window_frames} frames are left to learn from, as the others are defects, without "
            f"a part or in groups that wait for a word, and a bank needs {settings.fewest_frames}: send more frames"
        )
    if any(map(len, negatives)):
        patches = replace(patches, negatives=np.concatenate(negatives))
    return WindowLabels(known, groups, patches, not_learnt, elsewhere)


def _found(
    projected: ProjectedGroups,
    mask: NoiseMask,
    settings: BuildSettings,
    turned: TurnedWindow | None,
    asked: Sequence[AskedGroup],
) -> Sequence[MinorityGroup]:
    """The groups of the few, by place where parts lie alike, or can be turned so; none where they are to be learnt.

    Without removal of whole frames nobody has looked how parts lie.
    """
    if settings.groups == "learn" or settings.discriminator != "expected-nearest" or settings.removal != "frames":
        return ()
    if mask.aligned:
        return minority_groups(projected, mask.factors, asked)
    return unaligned_groups(projected) if turned is None else turned.groups
