"""What the frames before this one say of it."""

from __future__ import annotations

from inference.history import History, Recalled
from inference.settings import ViewInspection
from ingest.contract import SourceRecord
from ingest.frame import Frame
from ingest.kafka.records import Partition
from ingest.view import camera_key
from softpatch.images.input_faults import InputBaseline
from tests.inference.sample_bank import shown

INSPECTION = ViewInspection(dead_letter_cap_ratio=0.2, dead_letter_window_records=10)


def at(offset: int, *, partition: int = 0, topic: str = "frames") -> SourceRecord:
    """A record of a topic of frames."""
    return SourceRecord(topic=topic, partition=partition, offset=offset)


class Remembered:
    """A history, with frames given in short."""

    def __init__(self, remembered_frame_ids: int = 100) -> None:
        self.history = History(remembered_frame_ids=remembered_frame_ids)

    def frame(
        self,
        offset: int,
        *,
        frame_id: str | None = None,
        sequence: int | None = None,
        bits: int = 0,
        partition: int = 0,
        view: str = "line/cam",
        tenure: int = 1,
        replay: bool = False,
        scene: int | None = None,
        topic: str = "frames",
    ) -> Recalled:
        """What is recalled of one frame; frames of one `scene` are bit-identical, without it each differs."""
        source = at(offset, partition=partition, topic=topic)
        frame = Frame(
            view=view,
            key=camera_key(view),
            frame_id=frame_id or f"{partition}-{offset}",
            encoded=b"",
            source=source,
            appended_ms=0,
            sequence=sequence,
            replay_of=SourceRecord(topic="frames.dead-letter", partition=partition, offset=0) if replay else None,
        )
        return self.history.frame(frame, shown(bits, scene=scene), InputBaseline(), INSPECTION, tenure=tenure)

    def dead(self, offset: int, view: str = "line/cam", *, tenure: int = 1) -> None:
        """One record of the view that could not be decided."""
        self.history.dead_letter(at(offset), view, INSPECTION, tenure=tenure)


def test_a_repeated_frame_id_points_to_its_first_record() -> None:
    """Also the third time: to the first, not the second."""
    history = Remembered()
    assert history.frame(5, frame_id="a").duplicate_of is None
    assert history.frame(8, frame_id="a").duplicate_of == at(5)
    assert history.frame(9, frame_id="a").duplicate_of == at(5)


def test_a_camera_that_repeats_its_picture_is_frozen_after_many_frames() -> None:
    """From the tenth on by default; another picture, or another view's, is none of it."""
    history = Remembered()
    assert [history.frame(offset, scene=1).frozen for offset in range(12)] == [False] * 9 + [True] * 3
    assert not history.frame(12, view="line/other", scene=1).frozen
    assert not history.frame(13, scene=2).frozen
    assert not history.frame(14, scene=1).frozen


def test_frames_read_again_stay_as_frozen_as_they_were() -> None:
    """After an abort the same ten records do not count twice."""
    history = Remembered()
    assert [history.frame(offset, scene=1).frozen for offset in range(6)] == [False] * 6
    assert [history.frame(offset, scene=1).frozen for offset in range(9)] == [False] * 9
    assert history.frame(9, scene=1).frozen
    assert history.frame(9, scene=1).frozen
    assert not history.frame(10, scene=2).frozen
    assert [history.frame(offset, scene=1).frozen for offset in range(8, 10)] == [False, True]
    assert [history.frame(offset, scene=2).frozen for offset in range(10, 12)] == [False, False]


def test_a_live_frame_read_again_is_not_frozen_by_those_after_it() -> None:
    """Nor is a replayed one, whatever the camera shows now."""
    history = Remembered()
    assert not history.frame(0, scene=2).frozen
    assert not history.frame(1, scene=3, replay=True).frozen
    assert [history.frame(offset, scene=1).frozen for offset in range(2, 12)] == [False] * 9 + [True]
    assert [history.frame(offset, scene=scene, replay=offset == 1).frozen for offset, scene in ((0, 2), (1, 3))] == [
        False,
        False,
    ]


def test_a_replayed_frame_neither_freezes_nor_thaws() -> None:
    """It has no place in the camera's order."""
    history = Remembered()
    for offset in range(9):
        history.frame(offset, scene=1)
    assert not history.frame(9, scene=2, replay=True).frozen
    assert history.frame(10, scene=1).frozen


def test_the_same_id_of_another_view_or_partition_is_another_frame() -> None:
    """Ids are unique within a view; a view keeps to its partition."""
    history = Remembered()
    history.frame(5, frame_id="a")
    assert history.frame(6, frame_id="a", view="line/cam@b").duplicate_of is None
    assert history.frame(7, frame_id="a", partition=1).duplicate_of is None


def test_frame_ids_are_forgotten_oldest_first() -> None:
    """With room for three, the fourth drives out the first."""
    history = Remembered(remembered_frame_ids=3)
    for offset, frame_id in enumerate("abcd"):
        history.frame(offset, frame_id=frame_id)
    assert history.frame(4, frame_id="b").duplicate_of == at(1)
    assert history.frame(5, frame_id="a").duplicate_of is None


def test_a_record_read_again_after_an_abort_changes_nothing() -> None:
    """It is no duplicate of itself, no gap, no change, and no second dead letter."""
    history = Remembered()
    history.frame(5, frame_id="s-0", sequence=0, bits=1)
    history.frame(6, frame_id="s-1", sequence=1, bits=3)
    assert history.frame(5, frame_id="s-0", sequence=0, bits=1, tenure=2) == Recalled(None, None, 0, False)
    assert history.frame(6, frame_id="s-1", sequence=1, bits=3, tenure=2) == Recalled(None, None, 0, False)
    assert history.frame(7, frame_id="s-2", sequence=2, bits=7, tenure=2) == Recalled(1, None, 0, False)


def test_a_duplicate_is_still_one_when_it_is_read_again() -> None:
    """The retry after an abort says the same as the decision that was lost."""
    history = Remembered()
    history.frame(5, frame_id="a")
    assert history.frame(6, frame_id="a").duplicate_of == at(5)
    assert history.frame(6, frame_id="a", tenure=2).duplicate_of == at(5)


def test_change_is_counted_in_bits_against_the_views_previous_frame() -> None:
    """Views of one camera are compared each with itself."""
    history = Remembered()
    assert history.frame(1, bits=0b1100).change_bits is None
    assert history.frame(2, bits=0b1111, view="line/cam@b").change_bits is None
    assert history.frame(3, bits=0b1010).change_bits == 2
    assert history.frame(4, bits=0b1111, view="line/cam@b").change_bits == 0


def test_a_gap_in_the_sequence_is_frames_lost_before_kafka() -> None:
    """Counted per camera start; a restart, a repeat and a product change are no gaps."""
    history = Remembered()
    seen = [
        history.frame(1, frame_id="s-0", sequence=0),
        history.frame(2, frame_id="s-3", sequence=3),
        history.frame(3, frame_id="s-3", sequence=3),
        history.frame(4, frame_id="s-4", sequence=4, view="line/cam@b"),
        history.frame(5, frame_id="t-9", sequence=9),
        history.frame(6, frame_id="t-10", sequence=10),
    ]
    assert [each.missing_frames for each in seen] == [0, 2, 0, 0, 0, 0]


def test_a_sequence_under_foreign_ids_starts_anew_when_it_falls() -> None:
    """Ids that name no camera start: a lower number is a restart."""
    history = Remembered()
    missing = [history.frame(i, sequence=sequence).missing_frames for i, sequence in enumerate([5, 7, 0, 1, 4])]
    assert missing == [0, 1, 0, 0, 2]


def test_a_partition_that_others_worked_on_meanwhile_has_no_frame_before() -> None:
    """No gap and no change is made up; an id seen long ago is still a duplicate."""
    history = Remembered()
    history.frame(5, frame_id="s-0", sequence=0, bits=1)
    assert history.frame(90, frame_id="s-80", sequence=80, bits=7, tenure=2) == Recalled(None, None, 0, False)
    assert history.frame(91, frame_id="s-0", sequence=0, tenure=2).duplicate_of == at(5)


def test_a_view_passes_its_dead_letter_cap_alone_and_comes_back() -> None:
    """More than a fifth of ten: the third dead letter; the other view goes on; good frames push them out."""
    history = Remembered()
    history.dead(1)
    history.dead(2)
    assert not history.frame(3).dead_letters_over_cap
    history.dead(4)
    assert history.frame(5).dead_letters_over_cap
    assert not history.frame(6, view="line/cam@b").dead_letters_over_cap
    healing = [history.frame(offset).dead_letters_over_cap for offset in range(7, 14)]
    assert healing == [True, True, True, True, True, False, False]


def test_dead_letters_read_again_count_once() -> None:
    """Three aborts in a row over one dead letter are no storm."""
    history = Remembered()
    for tenure in range(1, 5):
        history.dead(1, tenure=tenure)
    assert not history.frame(2, tenure=5).dead_letters_over_cap


def test_a_replayed_frame_has_no_place_in_the_cameras_order() -> None:
    """It makes no gap and no change, for itself or for the frame after it; sent twice, it is a duplicate."""
    history = Remembered()
    history.frame(1, sequence=10, bits=0b1)
    replayed = [history.frame(offset, frame_id="old", sequence=3, bits=0b1111, replay=True) for offset in (2, 3)]
    assert replayed == [Recalled(None, None, 0, False), Recalled(None, at(2), 0, False)]
    assert history.frame(4, sequence=11, bits=0b11) == Recalled(1, None, 0, False)


def test_the_same_partition_of_another_topic_has_a_memory_of_its_own() -> None:
    """Two topics of frames count their offsets each from 0: none is read again, and no id repeats the other's."""
    history = Remembered()
    assert history.frame(5, frame_id="a", bits=1).duplicate_of is None
    there = history.frame(5, frame_id="a", bits=3, topic="cell-4")
    assert (there.duplicate_of, there.change_bits) == (None, None)
    assert history.frame(6, frame_id="b", bits=3).change_bits == 1
    assert history.frame(6, frame_id="a", topic="cell-4").duplicate_of == at(5, topic="cell-4")
    assert [history.history.reaches(Partition(topic, 0), 7) for topic in ("frames", "cell-4", "third")] == [
        True,
        True,
        False,
    ]
