"""What is known of some frames of a view: groups that builds found and words of people, with their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.errors import CommandFailed, UsageError
from ingest.annotation import Label
from ingest.store import NotInStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.annotation import FrameAnnotation
    from ingest.bank_state import BankState
    from ingest.store import Store
    from softpatch.bank import Bank


def listed(states: Iterable[BankState], *, view: str | None, every: bool) -> list[tuple[str, FrameAnnotation]]:
    """Annotations with their views: those that wait for a person's word first, then by view, the oldest first.

    `every`: answered groups and words on single frames, too.
    """
    found = [(state.view, each) for state in states if view in (None, state.view) for each in state.annotations]
    chosen = [pair for pair in found if every or pair[1].label is Label.OPEN]
    return sorted(chosen, key=lambda pair: (pair[1].label is not Label.OPEN, pair[0], pair[1].found_at))


def find_annotation(state: BankState, start: str) -> FrameAnnotation:
    """The annotation of a view whose id begins with `start`. Raises UsageError where that is none, or several."""
    fitting = [each for each in state.annotations if each.id.startswith(start)]
    if not start or not fitting:
        raise UsageError(
            f"{state.view} has no group or word {start}; patchline review list {state.view} --all shows them"
        )
    exact = [each for each in fitting if each.id == start]
    if len(fitting) > 1 and not exact:
        raise UsageError(f"{len(fitting)} ids of {state.view} start with {start}; write more of it")
    return (exact or fitting)[0]


def find_group(state: BankState, start: str) -> FrameAnnotation:
    """The group whose id begins with `start`. Raises UsageError where there is none, or it is a word on a frame."""
    found = find_annotation(state, start)
    if found.origin != "group":
        raise UsageError(
            f"{found.id} is a word on one frame, not a group; "
            f"patchline feedback {state.view} {found.id} undo takes it back"
        )
    return found


def find_word(state: BankState, start: str) -> FrameAnnotation:
    """The word on one frame whose id begins with `start`. Raises UsageError where there is none, or it is a group."""
    found = find_annotation(state, start)
    if found.origin == "group":
        raise UsageError(f"{found.id} is a group; patchline review undo {state.view} {found.id} opens it again")
    return found


def exemplar_frames(store: Store, annotation: FrameAnnotation) -> list[tuple[str, bytes]]:
    """The frames kept of an annotation, by frame id. Raises CommandFailed where the store has none of them."""
    found = []
    for each in annotation.exemplars:
        try:
            found.append((each.frame_id, store.get(each.path)))
        except NotInStore:
            continue
    if not found:
        raise CommandFailed(
            f"the store has no picture of {annotation.id}: set store.url to where the trainer keeps banks"
        )
    return found


def frame_outside(bank: Bank) -> tuple[str, bytes] | None:
    """The most ordinary frame that a bank keeps of its window, of no group, by name; None where it keeps none."""
    names, window = bank.manifest.frame_names, len(bank.calibration_scores)
    grouped = {name for group in bank.manifest.groups for name in group.members}
    places = [
        (float(bank.calibration_scores[frame]), place)
        for place, frame in enumerate(bank.probe_frames.tolist())
        if frame < window and names[frame] not in grouped
    ]
    if not places:
        return None
    _, place = min(places)
    return names[int(bank.probe_frames[place])], bank.probes[place]
