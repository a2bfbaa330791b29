"""Builds of windows in which something repeats: found and not learnt, recognised again, and learnt or not by a word."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from softpatch.bank import Bank, bank_from_bytes, bank_to_bytes
from softpatch.building.build import build_bank
from softpatch.building.examine import PriorBanks
from softpatch.building.labels import LabelledFrames
from softpatch.building.window import TooFewFrames
from softpatch.calibration.threshold import suggest
from softpatch.gate.prior_scores import PriorBank
from softpatch.images.decode import decode
from softpatch.images.geometry import Geometry
from softpatch.scoring.no_part import NoPartCheck
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, encoded, encoded_picture, names, picture

if TYPE_CHECKING:
    from softpatch.manifest import GroupRecord

pytestmark = pytest.mark.slow

FRAMES = 60
MARKED = tuple(range(4, FRAMES, 6))
BOX = (0.5, 0.25, 0.75, 0.5)


def marked(seed: int, *, brighter: float = 55.0) -> bytes:
    """A picture with the same mark at the same place: two patches a side, by so many gray levels brighter."""
    image = picture(seed).astype(np.float32)
    rng = np.random.default_rng(10_000 + seed)
    image[16:32, 32:48] += brighter + rng.normal(0, 3, (16, 16, 3))
    return encoded(np.clip(image, 0, 255).astype(np.uint8))


def tinted(seed: int, by: float) -> bytes:
    """A picture with the same faint tint at the same place."""
    image = picture(seed).astype(np.float32)
    image[16:32, 32:48] += (by, 0, -by)
    return encoded(np.clip(image, 0, 255).astype(np.uint8))


def belt(seed: int) -> bytes:
    """A picture without a part: another gradient altogether."""
    rng = np.random.default_rng(20_000 + seed)
    ramp = np.linspace(240, 180, 64)
    image = np.broadcast_to(ramp[:, None, None], (64, 64, 3)) + rng.normal(0, 6, (64, 64, 3))
    return encoded(np.clip(image, 0, 255).astype(np.uint8))


def window(of: dict[int, bytes]) -> tuple[bytes, ...]:
    """A window of plain pictures but for those."""
    return tuple(of.get(number) or encoded_picture(number) for number in range(FRAMES))


@cache
def built(frames: tuple[bytes, ...], labels: tuple[LabelledFrames, ...] = ()) -> Bank:
    """The bank of those frames and labels, built once."""
    return build_bank(
        frames, MeanColours(), SETTINGS, view="v", frame_names=names(frames), created_at="now", threads=2, labels=labels
    )


def with_a_mark() -> Bank:
    """The bank of a window in which one frame in six carries the mark."""
    return built(window({number: marked(number) for number in MARKED}))


def faint_window() -> tuple[bytes, ...]:
    """One frame in six carries a fainter mark, which is not suspicious enough to be rejected by itself."""
    return window({number: marked(number, brighter=45) for number in MARKED})


@cache
def learnt(labels: tuple[LabelledFrames, ...] = ()) -> Bank:
    """The bank of that window where groups are learnt unasked."""
    learns = SETTINGS.model_copy(update={"groups": "learn", "position_power": 0})
    frames = faint_window()
    return build_bank(
        frames, MeanColours(), learns, view="v", frame_names=names(frames), created_at="now", threads=2, labels=labels
    )


def ratios(bank: Bank, frames: list[bytes]) -> np.ndarray:
    """Scores over the bank's threshold."""
    images = np.stack([bank.manifest.geometry.apply(decode(frame)) for frame in frames])
    found = Scorer(bank, FlatSearch(bank.vectors)).score(MeanColours().embed(images))
    return np.array([each.score for each in found]) / bank.manifest.threshold.value


def the_group(bank: Bank) -> GroupRecord:
    """The one group of a bank."""
    (group,) = bank.manifest.groups
    return group


def labelled(group: GroupRecord, label: str, frames: tuple[bytes, ...], *, box: bool = True) -> LabelledFrames:
    """A group of an earlier build with the word that a person gave it."""
    by_name = dict(zip(names(frames), frames, strict=True))
    examples = tuple(by_name[name] for name in group.examples)
    return LabelledFrames(group.id, label, "group", group.box_xyxy if box else None, examples)  # type: ignore[arg-type]


NEW_MARKED = [marked(500 + number) for number in range(12)]
NEW_FAINT = [marked(600 + number, brighter=45) for number in range(12)]
NEW_GOOD = [encoded(picture(700 + number)) for number in range(30)]


def test_what_repeats_is_found_and_not_learnt() -> None:
    """Ten of sixty frames with one mark are one group, at its place; new frames with the mark fail."""
    group = the_group(with_a_mark())
    assert (group.label, group.is_new, group.whole_frame) == ("open", True, False)
    assert {int(name.removeprefix("frame-")) for name in group.members} == set(MARKED)
    assert group.share == pytest.approx(len(MARKED) / FRAMES)
    x0, y0, x1, y1 = group.box_xyxy
    assert x0 < 0.62 < x1
    assert y0 < 0.37 < y1
    assert (ratios(with_a_mark(), NEW_MARKED) > 1).all()
    assert (ratios(with_a_mark(), NEW_GOOD) > 1).mean() <= 0.1


def test_the_faintest_frames_of_a_group_are_not_learnt_and_are_no_examples() -> None:
    """They are named among its frames, in the first window already."""
    fainter = {number: marked(number, brighter=20) for number in (1, 13, 31)}
    bank = built(window({number: marked(number) for number in MARKED} | fainter))
    group = the_group(bank)
    assert set(group.members) == {f"frame-{number}" for number in (*MARKED, *fainter)}
    assert not set(group.examples) & {f"frame-{number}" for number in fainter}
    row, column = bank.source_position.T
    at_place = (row // 2 == 1) & (column // 2 == 2)
    assert not set(bank.source_frame[at_place].tolist()) & {*MARKED, *fainter}


def test_it_is_learnt_where_the_settings_say_so() -> None:
    """Without asking, a faint mark becomes normal: that is what the question is for."""
    assert learnt().manifest.groups == []
    assert (ratios(learnt(), NEW_FAINT) > 1).mean() < 0.5
    assert (ratios(built(faint_window()), NEW_FAINT) > 1).mean() > 0.8


def test_a_window_in_which_nothing_repeats_raises_no_question() -> None:
    """Plain pictures are no group."""
    assert built(window({})).manifest.groups == []


def test_a_group_is_recognised_in_the_next_window() -> None:
    """Other frames with the same mark: the same id, not new, whatever was said of it."""
    group = the_group(with_a_mark())
    first = window({number: marked(number) for number in MARKED})
    later = window({number: marked(3000 + number) for number in range(1, FRAMES, 5)})
    for label in ("open", "defect"):
        again = the_group(built(later, (labelled(group, label, first),)))
        assert (again.id, again.is_new, again.label) == (group.id, False, label)
        assert again.frames >= 10


def test_a_good_group_is_learnt() -> None:
    """After one word the mark passes, and another defect does not."""
    group = the_group(with_a_mark())
    frames = window({number: marked(number) for number in MARKED})
    bank = built(frames, (labelled(group, "good", frames),))
    assert the_group(bank).label == "good"
    assert bank.confirmed is not None
    assert (ratios(bank, NEW_MARKED) <= 1).mean() >= 0.8
    assert (ratios(bank, [encoded(picture(900 + n, defect=True)) for n in range(8)]) > 1).all()
    assert bank.manifest.golden.wrong == []


def test_an_ignored_place_never_scores() -> None:
    """The box of the group is left out: marks there pass, defects elsewhere fail."""
    group = the_group(with_a_mark())
    frames = window({number: marked(number) for number in MARKED})
    bank = built(frames, (labelled(group, "ignore", frames),))
    assert bank.ignored is not None
    assert (ratios(bank, NEW_MARKED) <= 1).mean() >= 0.8


def test_frames_without_a_part_are_told() -> None:
    """A tenth of empty belt is one group of whole frames; called no part, it is told from parts, marked or not."""
    frames = window({number: belt(number) for number in range(5, FRAMES, 10)})
    group = the_group(built(frames))
    assert group.whole_frame
    bank = built(frames, (labelled(group, "no_part", frames, box=False),))
    check = NoPartCheck.of(bank, FlatSearch)
    assert check is not None
    images = np.stack(
        [bank.manifest.geometry.apply(decode(each)) for each in [belt(800), *NEW_GOOD[:3], NEW_MARKED[0]]]
    )
    assert [check.shows_no_part(each) for each in MeanColours().embed(images)] == [True, False, False, False, False]
    assert (ratios(bank, [belt(801)]) > 1).all()
    assert bank.manifest.golden.right == len(group.examples)


def test_a_false_reject_passes_after_the_word() -> None:
    """One frame with the mark, called good with its box: its like passes, its patches survive the discriminator."""
    plain = window({})
    assert (ratios(built(plain), NEW_MARKED) > 1).all()
    word = LabelledFrames("w1", "good", "feedback", BOX, (NEW_MARKED[0],))
    bank = built(plain, (word,))
    assert bank.manifest.labelled_frames == 1
    assert ratios(bank, NEW_MARKED[:1])[0] <= 1
    assert bank.manifest.golden.right == 1


def test_an_escaped_defect_leaves_the_bank() -> None:
    """A mark that a build learnt, as it was told to: after the word on one frame what vouched for it is gone."""
    word = LabelledFrames("w2", "defect", "feedback", BOX, (NEW_FAINT[0],))
    assert (ratios(learnt(), NEW_FAINT) > 1).mean() < 0.5
    assert (ratios(learnt((word,)), NEW_FAINT) > 1).mean() > 0.8
    assert learnt((word,)).manifest.golden.wrong == []


def test_a_frame_that_escaped_fails_after_the_word() -> None:
    """A mark too faint to fail: the same frame fails afterwards, and good ones pass as before."""
    faint = [marked(5000 + number, brighter=24) for number in range(12)]
    plain = window({})
    before = ratios(built(plain), faint)
    bank = built(plain, (LabelledFrames("w3", "defect", "feedback", BOX, (faint[0],)),))
    after = ratios(bank, faint)
    assert before[0] <= 1
    assert after[0] > 1
    assert (ratios(bank, NEW_GOOD) > 1).mean() <= 0.1
    assert bank.manifest.golden.wrong == []
    assert bank_from_bytes(bank_to_bytes(bank)).negative_vectors is not None


def test_a_threshold_is_not_drawn_from_frames_that_differ_nearly_everywhere() -> None:
    """With what is around it the mark takes more than half of this small grid. Scores stay in the calibration."""
    bank = with_a_mark()
    assert bank.calibration_excluded is not None
    assert set(np.flatnonzero(bank.calibration_excluded).tolist()) == set(MARKED)
    assert len(bank.threshold_scores) == FRAMES - len(MARKED)
    read = bank_from_bytes(bank_to_bytes(bank))
    assert np.array_equal(read.threshold_scores, bank.threshold_scores)


WIDE = SETTINGS.model_copy(update={"geometry": Geometry(mode="squash", height_px=160, width_px=160)})
"""A grid of 20 patches a side, of which a mark and what is around it take less than half."""


@cache
def wide_window() -> tuple[bytes, ...]:
    """One frame in six carries a mark of two patches a side."""
    frames = []
    for number in range(FRAMES):
        rng = np.random.default_rng(number)
        image = np.linspace(40, 160, 160)[:, None, None] + rng.normal(0, 6, (160, 160, 3))
        if number in MARKED:
            image[16:32, 24:40] += rng.normal((55, 0, -55), 3, (16, 16, 3))
        frames.append(encoded(np.clip(image, 0, 255).astype(np.uint8)))
    return tuple(frames)


def built_wide(labels: tuple[LabelledFrames, ...] = ()) -> Bank:
    """The bank of that window and those labels."""
    given = wide_window()
    return build_bank(
        given, MeanColours(), WIDE, view="v", frame_names=names(given), created_at="now", threads=2, labels=labels
    )


def test_of_frames_that_are_kept_out_at_one_place_a_threshold_is_drawn_from_the_rest() -> None:
    """In order of time, so that whoever draws it anew from the bank's file gets the same."""
    bank = built_wide()
    assert bank.elsewhere_scores is not None
    assert tuple(np.flatnonzero(bank.elsewhere_scores).tolist()) == MARKED
    assert (bank.elsewhere_scores[list(MARKED)] < 0.9 * bank.calibration_scores[list(MARKED)]).all()
    assert len(bank.threshold_scores) == FRAMES
    drawn = suggest(bank.threshold_scores, false_reject_ratio=WIDE.false_reject_ratio, seed=WIDE.seed)
    assert drawn.threshold == bank.manifest.threshold
    assert bank_from_bytes(bank_to_bytes(bank)).threshold_scores.tolist() == bank.threshold_scores.tolist()


def test_frames_that_show_a_defect_which_a_person_named_do_not_count_in_part() -> None:
    """The frame of the word, and all that vouch for it."""
    box = (0.15, 0.1, 0.25, 0.2)
    bank = built_wide((LabelledFrames("w", "defect", "feedback", box, (wide_window()[MARKED[0]],)),))
    assert bank.elsewhere_scores is None
    assert len(bank.threshold_scores) == FRAMES - len(MARKED)


def test_a_window_of_which_nothing_is_left_says_so() -> None:
    """Every frame was called defective: there is no bank, and a sentence instead of a crash."""
    frames = window({})
    words = tuple(LabelledFrames(str(n), "defect", "feedback", None, (frame,)) for n, frame in enumerate(frames))
    with pytest.raises(TooFewFrames, match="0 of 60 frames are left to learn from"):
        built(frames, words)


def test_labelled_frames_are_no_frames_of_the_window() -> None:
    """They stand behind it: no calibration score, no probe, no member of a group."""
    group = the_group(with_a_mark())
    first = window({number: marked(number) for number in MARKED})
    bank = built(window({}), (labelled(group, "defect", first),))
    assert len(bank.calibration_scores) == FRAMES
    assert len(bank.manifest.frame_names) == FRAMES + bank.manifest.labelled_frames
    assert the_group(bank).frames == 0
    assert bank.probe_frames.max() < FRAMES


def test_a_frame_that_the_bank_in_force_passes_is_kept_out_with_those_whose_mark_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five of sixty frames fail by it; two with the same mark pass, narrowly. They are named, and no good frame is.

    Where the search for groups of the few sees none of them, as in windows of real parts with a faint mark.
    """
    monkeypatch.setattr("softpatch.building.label_window.minority_groups", lambda *_, **__: ())
    before = built(window({}))
    failing, passing = (28, 34, 40, 46, 52), (4, 10)
    frames = {number: tinted(number, 3.0) for number in failing} | {number: tinted(number, 1.8) for number in passing}
    assert (ratios(before, [frames[number] for number in failing]) > 1).all()
    assert (ratios(before, [frames[number] for number in passing]) <= 1).all()
    in_force = PriorBank(before, "a" * 64, before.manifest.threshold.value)
    bank = build_bank(
        window(frames),
        MeanColours(),
        SETTINGS,
        view="v",
        frame_names=names(window(frames)),
        created_at="now",
        threads=2,
        before=PriorBanks(in_force, None, 4),
    )
    group = the_group(bank)
    assert {int(name.removeprefix("frame-")) for name in group.members} == {*failing, *passing}
    assert {int(name.removeprefix("frame-")) for name in group.examples} == {*failing}
    assert bank.calibration_excluded is not None
    assert set(np.flatnonzero(bank.calibration_excluded).tolist()) == {*failing, *passing}
