"""The product's default with its questions answered: each group is given one word, as a person at the line would.

The word goes the way of `patchline review good` and `defect`: the group's examples and its box are a label of the next
build, by the code of `build_bank`. Only the embeddings come from elsewhere, as they do for every evaluated method.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

from deploy.evaluation.methods.training_window import TrainingWindow
from deploy.evaluation.results.rows import Answer, Question
from deploy.place_on_frame import group_place
from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.fit import Fit, fit
from softpatch.building.group_records import group_records
from softpatch.building.label_window import KnownLabels
from softpatch.building.labels import LabelledFrames, exemplar_frames, exemplar_names, exemplars_of
from softpatch.building.window import UsableFrames
from softpatch.images.decode import decode
from softpatch.manifest import GroupRecord
from softpatch.settings import BuildSettings

MOST_ROUNDS = 4
"""Builds whose questions are answered; what a later one asks stays open. One was enough on every line measured."""


def fit_default(window: TrainingWindow, settings: BuildSettings, pool: Executor) -> tuple[Fit, tuple[Question, ...]]:
    """The default's bank, and the questions that it asks; nobody answers."""
    fitted, new = _fit(window, (), settings, pool)
    return fitted, tuple(_question(group, window, answered=False) for group in new)


def fit_answered(window: TrainingWindow, settings: BuildSettings, pool: Executor) -> tuple[Fit, tuple[Question, ...]]:
    """The bank after every question was answered: *good* where most frames of the group are good, else *defect*."""
    labels: list[LabelledFrames] = []
    questions: list[Question] = []
    fitted, new = _fit(window, labels, settings, pool)
    for _ in range(MOST_ROUNDS):
        if not new:
            break
        answers = [_question(group, window, answered=True) for group in new]
        labels += [_labelled(group, each, window) for group, each in zip(new, answers, strict=True)]
        questions += answers
        fitted, new = _fit(window, labels, settings, pool)
    return fitted, (*questions, *(_question(group, window, answered=False) for group in new))


def _fit(
    window: TrainingWindow, labels: Sequence[LabelledFrames], settings: BuildSettings, pool: Executor
) -> tuple[Fit, list[GroupRecord]]:
    """The bank with those labels, and the groups that it finds and none of them names."""
    count, behind = len(window.encoded), exemplar_frames(labels)
    encoded = [*window.encoded, *(frame for _, frame in behind)]
    usable = _usable(encoded, count)
    rows = {digest: row for row, digest in enumerate(usable.digests[:count])}
    embeddings = window.followed_by([rows[digest] for digest in usable.digests[count:]])
    grid = embeddings.take(range(1)).shape[1:3]
    exemplars = exemplars_of(
        labels, [number for number, _ in behind], usable, geometry=window.geometry, grid=(grid[0], grid[1])
    )
    blocks = calibration_blocks(count, settings.calibration_blocks)
    upright = partial(window.upright, encoded, pool)
    fitted = fit(embeddings, settings, pool, known=KnownLabels(count, exemplars), blocks=blocks, upright=upright)
    names = [*map(str, range(count)), *exemplar_names(labels)]
    records = group_records(fitted.labels.groups, usable, names, window.geometry)
    return fitted, [record for record in records if record.is_new]


def _usable(encoded: Sequence[bytes], given_frames: int) -> UsableFrames:
    """All of them: what cannot be decoded is in no data set."""
    shapes = [decode(each).shape for each in encoded]
    return UsableFrames(
        sources=tuple(range(len(encoded))),
        digests=tuple(hashlib.sha256(each).digest() for each in encoded),
        sizes_wh=tuple((shape[1], shape[0]) for shape in shapes),
        given_frames=given_frames,
    )


def _question(group: GroupRecord, window: TrainingWindow, *, answered: bool) -> Question:
    defective = len({int(name) for name in group.members}.difference(window.good))
    answer: Answer = "good" if 2 * defective < group.frames else "defect"
    return Question(frames=group.frames, defective=defective, answer=answer if answered else None)


def _labelled(group: GroupRecord, question: Question, window: TrainingWindow) -> LabelledFrames:
    """The group with its word, as the next build is given it."""
    frames = tuple(window.encoded[int(name)] for name in group.examples)
    return LabelledFrames(group.id, question.answer or "open", "group", group_place(group), frames)
