"""A line whose frames fail together: undecided with that reason, deterministic, and with the place where it has one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.decide import InForce, Limits
from inference.history import History
from inference.line_change import ChangedPlace, RecentFrames, ScoredBy, ScoredFrame, changed_place, scored_frame
from inference.settings import ViewInspection
from ingest.contract import SourceRecord
from ingest.decision import LineChange, Reason, Verdict
from ingest.frame import Frame
from softpatch.images.geometry import FrameGeometry
from softpatch.images.input_faults import InputBaseline, InputFault
from tests.inference.sample_bank import VIEW, encoded, picture, record, sample_bank, shown
from tests.inference.test_decide import BANDED, PLAIN, facts
from tests.inference.test_inspector import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inference.decide import NoBank
    from ingest.decision import Decision
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder

LIMITS = Limits(threshold=2.0, low=2.0, high=2.0)
BANK = ScoredBy("a" * 64, LIMITS)
INSPECTION = ViewInspection()
AT = (3, 5)


def changes(failed: Sequence[bool], inspection: ViewInspection = INSPECTION) -> list[bool]:
    """Whether the line has changed, after each of these frames."""
    recent, seen = RecentFrames(BANK), []
    for each in failed:
        recent = recent.after(ScoredFrame(each, AT), inspection)
        seen.append(recent.changed)
    return seen


def test_eighteen_fails_of_twenty_are_a_change_and_ten_are_its_end() -> None:
    """After 60 passes the eighteenth fail tells; then the tenth pass, when half of the last twenty fail."""
    assert changes([False] * 60 + [True] * 20)[60:] == [False] * 17 + [True] * 3
    assert changes([True] * 20 + [False] * 11) == [False] * 17 + [True] * 12 + [False] * 2


def test_a_first_few_frames_are_no_line() -> None:
    """Frames that are missing count as if they had passed; their number and share are settings."""
    assert changes([True] * 17) == [False] * 17
    assert changes([True] * 5, ViewInspection(line_changed_frames=5)) == [False] * 4 + [True]
    strict = ViewInspection(line_changed_frames=5, line_changed_ratio=1.0)
    assert changes([True] * 4 + [False] + [True] * 5, strict) == [False] * 9 + [True]


@given(failed=st.lists(st.booleans(), max_size=80))
def test_a_line_is_changed_only_while_more_than_half_of_its_last_frames_fail(failed: list[bool]) -> None:
    """By definition, counted anew over the last twenty at every frame."""
    for end, changed in enumerate(changes(failed), start=1):
        last = failed[max(0, end - 20) : end]
        assert not changed or sum(last) > 10
        assert changed or sum(last) < 18


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        ([(3, 5)] * 20, ChangedPlace(LineChange.SAME_PLACE, (3, 5, 4, 6))),
        ([(3, 5)] * 10 + [(4, 5)] * 6 + [(13, 0)] * 4, ChangedPlace(LineChange.SAME_PLACE, (3, 5, 5, 6))),
        ([(3, 5)] * 15 + [(13, 0)] * 5, ChangedPlace(LineChange.EVERYWHERE)),
        ([(3, column) for column in range(14)], ChangedPlace(LineChange.EVERYWHERE)),
        ([(0, 0)] * 10 + [(9, 9)] * 10, ChangedPlace(LineChange.EVERYWHERE)),
    ],
    ids=["one patch", "four fifths within one patch", "three quarters", "along a row", "two places"],
)
def test_a_place_is_shared_by_four_fifths_of_the_frames(patches: list[tuple[int, int]], expected: ChangedPlace) -> None:
    """The box covers the worst patches that share it, and no outlier."""
    assert changed_place(patches) == expected


@pytest.mark.parametrize(
    ("score", "status", "given", "counted"),
    [
        (1.0, PLAIN, {}, False),
        (9.0, PLAIN, {}, True),
        (1.6, BANDED, {}, False),
        (9.0, PLAIN, {"input_fault": InputFault.BLACK, "input_fault_policy": "inspect"}, True),
        (9.0, PLAIN, {"input_fault": InputFault.BLACK}, None),
        (9.0, PLAIN, {"input_fault": InputFault.BLACK, "input_fault_policy": "fail"}, None),
        (9.0, PLAIN, {"late": True}, None),
        (9.0, PLAIN, {"dead_letters_over_cap": True}, None),
        (9.0, PLAIN, {"duplicate_of": SourceRecord(topic="frames", partition=3, offset=7)}, None),
        (None, PLAIN, {}, None),
    ],
)
def test_only_a_frame_that_its_score_decided_counts(
    score: float | None,
    status: InForce | NoBank,
    given: dict[str, Any],
    counted: bool | None,  # noqa: FBT001 -- a row
) -> None:
    """As a fail or not; near the threshold it is none."""
    found = scored_frame(facts(score, status, **given))
    assert (None if found is None else found.failed) == counted


def test_a_frame_without_a_part_does_not_count() -> None:
    """An idle belt that fails is no changed line."""
    failing = facts(9.0, PLAIN)
    assert failing.evidence is not None
    assert scored_frame(replace(failing, evidence=replace(failing.evidence, no_part=True))) is None


class Line:
    """A history, and frames of one view with the outcome of their score."""

    def __init__(self) -> None:
        self.history = History(remembered_frame_ids=100)

    def frame(
        self,
        offset: int,
        scored: ScoredFrame | None,
        *,
        by: ScoredBy = BANK,
        replay: bool = False,
        frames: int = 20,
    ) -> ChangedPlace | None:
        """What is said of one frame."""
        inspection = ViewInspection(line_changed_frames=frames)
        source = SourceRecord(topic="frames", partition=0, offset=offset)
        frame = Frame(
            view=VIEW,
            key=VIEW,
            frame_id=f"0-{offset}",
            encoded=b"",
            source=source,
            appended_ms=0,
            sequence=None,
            replay_of=source if replay else None,
        )
        self.history.frame(frame, shown(), InputBaseline(), inspection, tenure=1)
        return self.history.line_change(frame, scored, by, inspection)


FAIL, PASS = ScoredFrame(failed=True, worst_patch=AT), ScoredFrame(failed=False, worst_patch=(0, 0))
SAME = ChangedPlace(LineChange.SAME_PLACE, (3, 5, 4, 6))


def test_what_was_said_of_a_frame_is_said_again_when_it_is_read_again() -> None:
    """After an abort the same records count once, and neither later frames nor their own second reading change it."""
    line = Line()
    first = [line.frame(offset, FAIL) for offset in range(25)]
    assert first == [None] * 17 + [SAME] * 8
    for offset in range(25, 45):
        line.frame(offset, PASS)
    assert [line.frame(offset, FAIL) for offset in range(25)] == first
    assert line.frame(45, FAIL) is None


def test_records_read_again_and_again_do_not_add_up_to_a_change() -> None:
    """Five frames that fail, in four transactions that aborted, are five."""
    line = Line()
    for _ in range(5):
        assert [line.frame(offset, FAIL) for offset in range(5)] == [None] * 5


def test_another_bank_or_other_limits_begin_anew() -> None:
    """What the bank before failed is no evidence against this one, also of frames that are read again."""
    line, other = Line(), replace(BANK, version="b" * 64)
    assert [line.frame(offset, FAIL) for offset in range(20)][-1] == SAME
    assert line.frame(20, FAIL, by=other) is None
    assert line.frame(19, FAIL, by=other) is None
    assert line.frame(21, FAIL, by=replace(BANK, limits=replace(LIMITS, high=3.0))) is None


def test_the_epoch_alone_begins_nothing_anew() -> None:
    """A label or a pin counts the epoch up, and changes no verdict."""
    bank = InForce(version="a" * 64, epoch=7, limits=LIMITS, provisional=False)
    assert ScoredBy.of(bank) == ScoredBy.of(replace(bank, epoch=8))


def test_a_replayed_frame_neither_counts_nor_is_part_of_the_change() -> None:
    """It is of another time; a frame that does not count otherwise is still of a changed line."""
    line = Line()
    for offset in range(20):
        line.frame(offset, FAIL)
    assert line.frame(20, FAIL, replay=True) is None
    assert line.frame(21, None) == SAME


def test_zero_frames_switch_it_off() -> None:
    """Every frame that fails is a fail."""
    line = Line()
    assert [line.frame(offset, FAIL, frames=0) for offset in range(40)] == [None] * 40


SQUARE = FrameGeometry(mode="squash", height_px=128, width_px=128)
SPECK_XY = (76, 20)
"""Of the 96 px pictures: at the upper right, beside the part."""


@pytest.fixture(scope="module")
def fine_bank(embedder: OnnxEmbedder) -> Bank:
    """A bank of the good plates on a grid of 8 x 8 patches."""
    return sample_bank(embedder, geometry=SQUARE)


@pytest.fixture
def bench(store: FsspecStore, embedder: OnnxEmbedder, fine_bank: Bank) -> Iterator[Bench]:
    """An inspector that serves the bank."""
    opened = Bench(store, embedder)
    opened.put_in_force(fine_bank)
    yield opened
    opened.close()


def plate(seed: int, *, speck_xy: tuple[int, int] | None = None) -> bytes:
    """A good plate, with a dark speck where one lies on the lens."""
    image = picture(seed)
    if speck_xy is not None:
        cv2.circle(image, speck_xy, 7, (15, 15, 15), -1)
    return encoded(image)


def decided(bench: Bench, frames: Sequence[bytes], *, first: int = 0) -> list[Decision]:
    """The decisions on frames that come one after the other, in batches of eight."""
    records = [record(first + offset, each) for offset, each in enumerate(frames)]
    return [each for start in range(0, len(records), 8) for each in bench.decisions(*records[start : start + 8])]


@pytest.mark.slow
def test_dust_on_the_lens_is_a_changed_line_at_one_place_until_it_is_wiped_off(bench: Bench) -> None:
    """20 clean frames, 25 with the speck, 15 clean ones: fail, then undecided with its box, then pass."""
    clean = [plate(seed) for seed in range(20)]
    dusty = [plate(seed, speck_xy=SPECK_XY) for seed in range(20, 45)]
    before, during = decided(bench, clean), decided(bench, dusty, first=20)
    after = decided(bench, [plate(seed) for seed in range(45, 60)], first=45)
    assert {each.verdict for each in before + after} == {Verdict.PASS}
    assert [each.verdict for each in during] == [Verdict.FAIL] * 17 + [Verdict.UNDECIDED] * 8
    for each in during[17:]:
        assert (each.reason, each.line_change) == (Reason.LINE_CHANGED, LineChange.SAME_PLACE)
        assert each.score is not None
        assert each.regions
        assert each.line_change_box_xyxy_px is not None
        left, top, right, bottom = each.line_change_box_xyxy_px
        assert left <= SPECK_XY[0] < right
        assert top <= SPECK_XY[1] < bottom
        assert max(right - left, bottom - top) <= 48
    relapsed = decided(bench, [plate(60, speck_xy=SPECK_XY)], first=60)
    assert relapsed[0].verdict is Verdict.FAIL


def test_what_differs_at_many_places_is_a_change_everywhere(bench: Bench) -> None:
    """Specks all over, each frame at another place: no box."""
    rng = np.random.default_rng(0)
    frames = [plate(seed, speck_xy=(int(x), int(y))) for seed, (x, y) in enumerate(rng.integers(8, 88, (24, 2)))]
    last = decided(bench, frames)[-1]
    assert (last.reason, last.line_change) == (Reason.LINE_CHANGED, LineChange.EVERYWHERE)
    assert last.line_change_box_xyxy_px is None


def test_a_good_part_passes_on_a_changed_line(bench: Bench) -> None:
    """The change explains a fail, and no pass."""
    decided(bench, [plate(seed, speck_xy=SPECK_XY) for seed in range(20)])
    good, dusty = decided(bench, [plate(30), plate(31, speck_xy=SPECK_XY)], first=20)
    assert (good.verdict, good.line_change) == (Verdict.PASS, None)
    assert dusty.reason is Reason.LINE_CHANGED


@pytest.mark.slow
def test_frames_read_again_after_an_abort_get_the_decision_they_had(bench: Bench) -> None:
    """The whole stream again, after its end: verdict, reason, place and box are the same."""
    frames = [plate(seed, speck_xy=SPECK_XY) for seed in range(24)] + [plate(seed) for seed in range(24, 40)]
    first, again = decided(bench, frames), decided(bench, frames)
    same = [(each.verdict, each.reason, each.line_change, each.line_change_box_xyxy_px) for each in first]
    assert [(each.verdict, each.reason, each.line_change, each.line_change_box_xyxy_px) for each in again] == same
