"""What labels make of a window's patches: which are learnt whatever the discriminator says, and which never are."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.denoise import PatchLabels
from softpatch.building.grid_margin import MARGIN, with_margin
from softpatch.building.labels import Exemplars
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.rejection import ALIGNED_SIGMAS, suspicious_frames
from softpatch.manifest import GroupLabel

NOT_LEARNT: frozenset[GroupLabel] = frozenset({"open", "defect", "no_part"})
"""Labels whose frames are not learnt: they enter no bank at their place, and no threshold by it."""

JOINED: frozenset[GroupLabel] = frozenset({"open", "defect"})
"""Labels of groups that frames may join: those that the bank in force passes, and the group's own faintest. Not
`no_part`: what joined would say of later frames whether there is a part."""

BLUR_REACH = 2.5
"""Sigmas of the blur of scores, beyond which a mark that the bank does not learn raises them by nothing to speak of."""

MOST_AROUND = 0.5
"""Share of what is inspected that a group's place, and what is around it, may take where its frames count for the
threshold by the rest: a maximum over fewer patches is lower."""

MOST_EXCLUDED = 0.5
"""Share of a window that groups may keep out of the bank: with more, too little is left to learn from."""

SAME_GROUP = 0.5
"""Of a label's frames, the share that a group must hold to be the same group."""


@dataclass(frozen=True)
class LabelledGroup:
    """A group of the window with its label; `rows` are its frames, labelled ones behind the window's included."""

    id: str | None
    """None: no earlier build had found it."""
    label: GroupLabel
    group: MinorityGroup | None
    """None: an earlier build found it, and this window does not show it."""
    rows: tuple[int, ...]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    """The place that people are shown: where a new group differs most, and the box of a known one."""
    by_place: bool = True
    """Whether this window shows it at one place, the same in all its frames."""

    @property
    def learnt(self) -> bool:
        """Whether its frames enter the bank."""
        return self.label not in NOT_LEARNT


def labelled_groups(
    found: Sequence[MinorityGroup], exemplars: Sequence[Exemplars], *, window_frames: int
) -> list[LabelledGroup]:
    """Every group of the window and every known one, with its label; groups of the same known one are one.

    New groups that would keep more than half of the window out are left out: the least clear ones.
    """
    known: dict[str, LabelledGroup] = {}
    new: list[LabelledGroup] = []
    for group in found:
        same = _known_group(group, exemplars)
        if same is None:
            by_place = group.frame_cells is None
            new.append(LabelledGroup(None, "open", group, group.frames, group.cells, group.core, by_place))
        else:
            known[same.labelled.id] = _with_group(known.get(same.labelled.id), same, group)
    for each in exemplars:
        if each.labelled.origin == "group" and each.labelled.id not in known:
            known[each.labelled.id] = _absent(each)
    return [*known.values(), *_within_limit(new, list(known.values()), window_frames)]


def still_named(groups: Sequence[LabelledGroup], named: Mapping[str, Sequence[int]]) -> list[LabelledGroup]:
    """The groups with the frames that the bank in force names in them, while they are not learnt; ids and rows.

    Whether a frame fails by a bank depends on a threshold that moves from build to build. One that was let go would be
    learnt and vouch for its like: in three builds of one window half of a mark's frames were.
    """
    return [
        each
        if each.learnt or each.id is None
        else replace(each, rows=tuple(sorted({*each.rows, *named.get(each.id, ())})))
        for each in groups
    ]


def good_rows(groups: Sequence[LabelledGroup], exemplars: Sequence[Exemplars]) -> set[int]:
    """The frames that are of a good group, or have a person's word that they are good."""
    rows = {row for each in groups if each.label == "good" for row in each.rows}
    return rows | {row for each in exemplars if each.labelled.label == "good" for row in each.rows}


def joined(
    groups: Sequence[LabelledGroup],
    exemplars: Sequence[Exemplars],
    joining: Sequence[Iterable[int]],
    *,
    window_frames: int,
) -> list[LabelledGroup]:
    """The groups, each with the window's frames that join it; none that a person called good does.

    Groups that are learnt, or without a part, stay as they are.
    """
    good = good_rows(groups, exemplars)
    new = [{row for row in rows if row < window_frames} - good for rows in joining]
    return [
        replace(each, rows=tuple(sorted({*each.rows, *more}))) if each.label in JOINED else each
        for each, more in zip(groups, new, strict=True)
    ]


def _known_group(group: MinorityGroup, exemplars: Sequence[Exemplars]) -> Exemplars | None:
    """The label that most of a group's labelled frames have, where it is at the same place, or has none."""
    rows = set(group.frames)
    shares = [
        (len(rows.intersection(each.rows)) / len(each.rows), -number)
        for number, each in enumerate(exemplars)
        if each.rows and (group.frame_cells is not None or (each.cells & group.cells).any())
    ]
    share, number = max(shares, default=(0.0, 0))
    return exemplars[-number] if share >= SAME_GROUP else None


def _with_group(before: LabelledGroup | None, same: Exemplars, group: MinorityGroup) -> LabelledGroup:
    rows = set(same.rows) | set(group.frames) | set(before.rows if before else ())
    cells = same.cells | group.cells if before is None else before.cells | group.cells
    first = before.group if before is not None else group
    by_place = group.frame_cells is None and (before is None or before.by_place)
    return LabelledGroup(same.labelled.id, same.labelled.label, first, tuple(sorted(rows)), cells, same.cells, by_place)


def _absent(known: Exemplars) -> LabelledGroup:
    """A known group that this window does not show."""
    labelled = known.labelled
    return LabelledGroup(labelled.id, labelled.label, None, known.rows, known.cells, known.cells, by_place=False)


def _within_limit(new: list[LabelledGroup], known: list[LabelledGroup], window_frames: int) -> list[LabelledGroup]:
    excluded = {row for each in known if not each.learnt for row in each.rows if row < window_frames}
    chosen = []
    for each in new:
        together = excluded.union(row for row in each.rows if row < window_frames)
        if len(together) <= MOST_EXCLUDED * window_frames:
            chosen.append(each)
            excluded = together
    return chosen


def frames_not_learnt(
    groups: Sequence[LabelledGroup], exemplars: Sequence[Exemplars], *, window_frames: int
) -> Bool[np.ndarray, "frames"]:
    """The window's frames that are not learnt: no threshold may be drawn from what they score as a whole."""
    rows = [each.rows for each in groups if not each.learnt]
    rows += [each.rows for each in exemplars if each.labelled.label in NOT_LEARNT]
    found = np.zeros(window_frames, np.bool_)
    for row in {row for some in rows for row in some if row < window_frames}:
        found[row] = True
    return found


def patches_elsewhere(
    groups: Sequence[LabelledGroup],
    exemplars: Sequence[Exemplars],
    *,
    inspected: Bool[np.ndarray, "p q"],
    window_frames: int,
    blur_cells: float,
) -> Bool[np.ndarray, "frames p q"]:
    """Of the window's frames that are kept out at one place alone, the patches far from it.

    The bank learns them as any other frame's, so that they count for the threshold: without them a window of 60 frames
    a third of which carry a mark would be one of 40, and its threshold less certain. Frames of which a person has said
    one by one what they are do not count.
    """
    margin = MARGIN + math.ceil(BLUR_REACH * blur_cells)
    kept_out, place = np.zeros(window_frames, np.bool_), np.zeros((window_frames, *inspected.shape), np.bool_)
    for each in groups:
        if not each.learnt:
            rows = [row for row in each.rows if row < window_frames]
            kept_out[rows] = True
            place[rows] |= with_margin(each.cells, margin) if each.by_place and each.label in JOINED else True
    for labelled in exemplars:
        if labelled.labelled.origin == "feedback":
            place[[row for row in labelled.rows if row < window_frames]] = True
    kept_out &= place[:, inspected].mean(axis=1) <= MOST_AROUND
    return np.asarray(kept_out[:, None, None] & ~place & inspected)


def patch_labels(
    factors: Float32[np.ndarray, "n p q"],
    groups: Sequence[LabelledGroup],
    exemplars: Sequence[Exemplars],
    *,
    window_frames: int,
) -> PatchLabels:
    """The masks of all labels. Frames behind the window are learnt only where a person called them good.

    A place to ignore is none of them: it is one of the view's regions. A good group says nothing of another one that
    waits, or is a defect, and shares a few of its frames: at that one's place these are not learnt. Of a group most of
    whose frames are good a person has said what it is.
    """
    excluded, others = np.zeros(factors.shape, np.bool_), np.zeros(factors.shape, np.bool_)
    good, said = np.zeros(factors.shape, np.bool_), np.zeros(factors.shape, np.bool_)
    excluded[window_frames:] = True
    rows_called_good = list(good_rows(groups, exemplars))
    for each in groups:
        rows = _typical(each, factors) if each.label == "good" else list(each.rows)
        places = _places(each, rows)
        if each.label == "good":
            good[rows] |= with_margin(places)
        elif each.label != "ignore":
            own = True if each.label == "no_part" else with_margin(places)
            excluded[rows] |= own
            if rows and np.isin(rows, rows_called_good).mean() < SAME_GROUP:
                others[rows] |= own
    for labelled in exemplars:
        if labelled.labelled.label == "good":
            confirmed = good if labelled.labelled.origin == "group" else said
            confirmed[list(labelled.rows)] |= labelled.cells
        elif labelled.labelled.origin == "feedback":
            excluded[list(labelled.rows)] = True
    confirmed = (good & ~others) | said
    return PatchLabels(excluded & ~confirmed, confirmed, np.zeros(factors.shape[1:], np.bool_))


def _places(each: LabelledGroup, rows: Sequence[int]) -> Bool[np.ndarray, "r p q"]:
    """Where a group is in each of those frames: at one place in all, unless parts lie turned."""
    group, own = each.group, {}
    if group is not None and group.frame_cells is not None:
        own = dict(zip(group.frames, group.frame_cells, strict=True))
    places = [own.get(row, each.cells) for row in rows]
    return np.array(places, np.bool_).reshape(-1, *each.cells.shape)


def _typical(group: LabelledGroup, factors: Float32[np.ndarray, "n p q"]) -> list[int]:
    """A good variant has its own defects: its frames but those that stand out among them."""
    rows = np.array(group.rows, np.int64)
    if not len(rows):
        return []
    inside = np.where(group.cells, factors[rows], 0).astype(np.float32)
    return rows[~suspicious_frames(inside, sigmas=ALIGNED_SIGMAS)].tolist()  # type: ignore[no-any-return]
