"""Frames into windows on a store that crashes, fills up and changes trainer."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from ingest.bank_state import ViewState
from ingest.claims import Claims, ClaimSettings
from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import Aborted
from ingest.store import NotInStore, StoreFull
from softpatch.images.input_faults import InputBaseline
from tests.ingest.pictures import scan_bomb
from tests.trainer.fake_loop import FRAMES, CollectingTrainer, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import VIEW, state
from trainer.publisher import NotOurs
from trainer.settings import ViewTraining
from trainer.transition import Transition
from trainer.window import InvalidIndex, NewerIndex

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.kafka.records import Record

TIGHT = ViewTraining(first_build_frames=2, window_frames=6, window_span_frames=20)
PICTURES = [picture(number) for number in range(60)]


LIVE = InputBaseline(dark_ratio=0.0, saturated_ratio=0.0, contrast=0.1, noise_floor=0.02)
"""A view whose frames differ by far more than what encoding does to one."""


def flat(level: int) -> bytes:
    """A picture of one level."""
    return bytes(cv2.imencode(".jpg", np.full((96, 96, 3), level, np.uint8))[1].tobytes())


def moved(number: int, quality: int = 95) -> bytes:
    """The disc elsewhere; each quality gives other bytes of the same picture."""
    pixels = cv2.imdecode(np.frombuffer(PICTURES[number], np.uint8), cv2.IMREAD_COLOR)
    there = np.roll(pixels, 20, axis=1)
    return bytes(cv2.imencode(".jpg", there, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


FREEZING = [PICTURES[0], *(moved(1, quality) for quality in range(80, 92)), PICTURES[2]]
"""A frame, one picture in twelve encodings, and a frame."""


def seen_by(trainer: CollectingTrainer) -> int:
    """How many of its frames the view has seen."""
    view = trainer.views.get(VIEW)
    assert view is not None
    return view.index.seen


def fed(trainer: CollectingTrainer, count: int, *, flush_every: int = 4) -> CollectingTrainer:
    """The trainer after the frames from where they start up to `count`."""
    for offset in range(trainer.start, count):
        trainer.take(record(offset, PICTURES[offset]))
        if offset % flush_every == 0:
            trainer.flush()
    trainer.flush()
    return trainer


def kept_by(trainer: CollectingTrainer) -> list[int]:
    """Offsets of the frames in the window in memory."""
    view = trainer.views.get(VIEW)
    assert view is not None
    return [frame.offset for frame in view.index.frames]


@pytest.mark.parametrize("crash_at", [1, 6, 7, 23])
@pytest.mark.parametrize("lost", ["index", "positions"])
def test_a_crash_between_frame_and_index_loses_and_doubles_nothing(tmp_path: Path, crash_at: int, lost: str) -> None:
    """The frames are written, the index or the position is not: the restart ends with the window of a quiet run."""
    quiet = fed(CollectingTrainer(tmp_path / "quiet", TIGHT), 32)
    trainer = fed(CollectingTrainer(tmp_path / "crashed", TIGHT), crash_at)
    for offset in range(crash_at, crash_at + 5):
        trainer.take(record(offset, PICTURES[offset]))
    trainer.store.full = lost
    with pytest.raises(StoreFull):
        trainer.flush()
    again = fed(CollectingTrainer(tmp_path / "crashed", TIGHT), 32)
    assert kept_by(again) == kept_by(quiet)
    assert again.windows.load(VIEW) == quiet.windows.load(VIEW)
    assert again.frame_files() == quiet.frame_files() == {f"0-{offset}.frame" for offset in kept_by(quiet)}


def test_files_that_no_index_names_are_swept_at_the_restart(tmp_path: Path) -> None:
    """What a crash left behind does not fill the disk."""
    trainer = fed(CollectingTrainer(tmp_path), 3)
    trainer.take(record(3, PICTURES[3]))
    assert "0-3.frame" in trainer.frame_files()
    again = CollectingTrainer(tmp_path)
    again.flush()
    assert again.frame_files() == {"0-0.frame", "0-1.frame", "0-2.frame"}
    assert again.views.get(VIEW).to_delete == frozenset()


def test_a_trainer_that_was_left_behind_deletes_no_file_of_its_successor(tmp_path: Path) -> None:
    """It reads the window while the successor has written a frame but not yet the index: only a commit tells."""
    successor = fed(CollectingTrainer(tmp_path), 3)
    successor.take(record(3, PICTURES[3]))
    left_behind = CollectingTrainer(tmp_path)
    left_behind.loop.abort = True
    with pytest.raises(Aborted):
        left_behind.flush()
    successor.flush()
    assert kept_by(CollectingTrainer(tmp_path)) == [0, 1, 2, 3]
    assert successor.frame_files() == {"0-0.frame", "0-1.frame", "0-2.frame", "0-3.frame"}


def test_a_frame_whose_file_is_gone_leaves_the_window(tmp_path: Path) -> None:
    """A build would stumble over it."""
    trainer = fed(CollectingTrainer(tmp_path), 3)
    trainer.store.delete("windows/line-1%2Fcamera-1/0-1.frame")
    assert kept_by(CollectingTrainer(tmp_path)) == [0, 2]


def test_a_picture_that_a_frame_claims_enters_the_window_itself(tmp_path: Path) -> None:
    """The window holds the bytes, whatever becomes of where they lay; what is not there is passed by."""
    claimed = tmp_path / "claimed.jpg"
    claimed.write_bytes(PICTURES[0])
    settings = ClaimSettings(prefixes=(str(tmp_path),), wait_seconds=0.1)
    trainer = CollectingTrainer(tmp_path / "store", claims=Claims(settings, clock=time.monotonic))

    def claim(offset: int, path: Path) -> Record:
        sha256, size = hashlib.sha256(PICTURES[0]).hexdigest().encode(), str(len(PICTURES[0])).encode()
        return record(offset, None, headers=(("uri", str(path).encode()), ("sha256", sha256), ("size", size)))

    trainer.take(claim(0, claimed))
    trainer.take(claim(1, tmp_path / "gone.jpg"))
    assert (kept_by(trainer), trainer.skipped("bad_frame")) == ([0], 1)
    assert trainer.store.get("windows/line-1%2Fcamera-1/0-0.frame") == PICTURES[0]


def test_what_is_no_new_frame_is_skipped_and_counted(tmp_path: Path) -> None:
    """A broken picture, a broken record, an id or bytes that came before: none enters, all are counted."""
    trainer = CollectingTrainer(tmp_path)
    trainer.take(record(0, PICTURES[0], frame_id="a"))
    trainer.take(record(1, PICTURES[1][:200]))
    trainer.take(record(2, PICTURES[2], key=None))
    trainer.take(record(3, PICTURES[3], frame_id="a"))
    trainer.take(record(4, PICTURES[0], frame_id="b"))
    trainer.take(record(5, PICTURES[5]))
    assert kept_by(trainer) == [0, 5]
    assert (trainer.skipped("bad_frame"), trainer.skipped("bad_frame", ""), trainer.skipped("duplicate")) == (1, 1, 2)
    trainer.flush()
    assert CollectingTrainer(tmp_path).start == 6


def test_the_largest_frame_that_is_learnt_from_is_the_one_setting(tmp_path: Path) -> None:
    """It did not reach the trainer: a camera above the default stayed `learning` for ever, while inference took it."""
    too_small = CollectingTrainer(tmp_path / "small", max_pixels=96 * 96 - 1)
    too_small.take(record(0, PICTURES[0]))
    assert (kept_by(too_small), too_small.skipped("bad_frame")) == ([], 1)
    large = CollectingTrainer(tmp_path / "large", max_pixels=96 * 96)
    large.take(record(0, PICTURES[0]))
    assert kept_by(large) == [0]


def test_pictures_that_cost_too_much_are_passed_by_once(tmp_path: Path) -> None:
    """A scan bomb held the trainer up for 75 s, longer than Kafka waits for a poll: it met the same record for ever."""
    trainer = CollectingTrainer(tmp_path)
    trainer.take(record(0, scan_bomb(side_px=7064, scans=2647)))
    trainer.take(record(1, PICTURES[0]))
    assert (kept_by(trainer), trainer.skipped("bad_frame")) == ([1], 1)
    trainer.flush()
    assert CollectingTrainer(tmp_path).start == 2


@pytest.mark.parametrize("error", [cv2.error("no"), MemoryError()])
def test_a_decoder_that_fails_costs_its_own_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The trainer ended at it, was started again, and met it again."""

    def failing(*_: object, **__: object) -> None:
        raise error

    trainer = CollectingTrainer(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("ingest.decoding.decode_checked", failing)
        trainer.take(record(0, PICTURES[0]))
    trainer.take(record(1, PICTURES[1]))
    assert (kept_by(trainer), trainer.skipped("bad_frame")) == ([1], 1)


def test_what_shows_nothing_to_judge_is_skipped_and_counted(tmp_path: Path) -> None:
    """A covered lens and a burnt-out picture; neither counts as one of the view's frames."""
    trainer = CollectingTrainer(tmp_path)
    for offset, value in enumerate([PICTURES[0], flat(0), PICTURES[1], flat(255), PICTURES[2]]):
        trainer.take(record(offset, value))
    assert kept_by(trainer) == [0, 2, 4]
    assert (trainer.skipped("black"), trainer.skipped("overexposed")) == (1, 1)
    assert seen_by(trainer) == 3


def test_only_the_first_of_a_frozen_picture_stays(tmp_path: Path) -> None:
    """Nine near copies enter before anyone can know, and go again with the tenth; then the line moves on."""
    trainer = CollectingTrainer(tmp_path, baseline=LIVE)
    for offset, value in enumerate(FREEZING):
        trainer.take(record(offset, value))
        if offset == 9:
            assert kept_by(trainer) == list(range(10))
    trainer.flush()
    assert kept_by(trainer) == [0, 1, 13]
    assert trainer.skipped("frozen") == 3
    assert trainer.frame_files() == {"0-0.frame", "0-1.frame", "0-13.frame"}


def test_a_camera_that_repeats_its_bytes_is_counted_as_frozen(tmp_path: Path) -> None:
    """Up to the ninth they are duplicates, as two equal frames may be."""
    trainer = CollectingTrainer(tmp_path)
    for offset in range(12):
        trainer.take(record(offset, PICTURES[0]))
    assert kept_by(trainer) == [0]
    assert (trainer.skipped("duplicate"), trainer.skipped("frozen")) == (8, 3)


def test_a_frozen_picture_is_told_across_restarts(tmp_path: Path) -> None:
    """The window ends as that of a quiet run: what was seen of the run is in the index."""
    quiet = CollectingTrainer(tmp_path / "quiet", baseline=LIVE)
    for offset, value in enumerate(FREEZING):
        quiet.take(record(offset, value))
        restarted = CollectingTrainer(tmp_path / "restarted", baseline=LIVE)
        restarted.take(record(offset, value))
        restarted.flush()
    assert kept_by(restarted) == kept_by(quiet) == [0, 1, 13]


def test_a_view_that_inspects_faults_learns_them(tmp_path: Path) -> None:
    """A line whose good frames are black, or all alike, says so."""
    trainer = CollectingTrainer(tmp_path, ViewTraining(input_fault="inspect"), baseline=LIVE)
    for offset, value in enumerate([flat(0), *FREEZING]):
        trainer.take(record(offset, value))
    assert kept_by(trainer) == list(range(15))


def test_a_held_view_learns_nothing(tmp_path: Path) -> None:
    """Its frames are read and left out."""
    trainer = CollectingTrainer(tmp_path, states={VIEW: state(ViewState.HELD)})
    trainer.take(record(0, PICTURES[0]))
    assert (kept_by(trainer), trainer.skipped("held")) == ([], 1)


def test_a_full_disk_stops_the_window_and_nothing_else(tmp_path: Path) -> None:
    """Frames that find no room are passed by; with room again the window grows on."""
    trainer = CollectingTrainer(tmp_path)
    trainer.take(record(0, PICTURES[0]))
    trainer.store.full = ".frame"
    trainer.take(record(1, PICTURES[1]))
    trainer.store.full = None
    trainer.take(record(2, PICTURES[2]))
    assert kept_by(trainer) == [0, 2]
    trainer.flush()
    assert kept_by(CollectingTrainer(tmp_path)) == [0, 2]


def test_nothing_is_written_by_a_trainer_that_was_left_behind(tmp_path: Path) -> None:
    """The transaction comes first: where it aborts, the successor's index stays as it is."""
    trainer = fed(CollectingTrainer(tmp_path), 3)
    trainer.take(record(3, PICTURES[3]))
    trainer.loop.abort = True
    with pytest.raises(Aborted):
        trainer.flush()
    assert CollectingTrainer(tmp_path).start == 3


def test_a_state_is_published_with_its_events_and_the_consumed_offset(tmp_path: Path) -> None:
    """One work under the claim of the view's partition."""
    trainer = CollectingTrainer(tmp_path)
    trainer.take(record(0, PICTURES[0]))
    view = trainer.views.get(VIEW)
    assert view is not None
    trainer.publisher.publish(view, Transition(view.state, ()))
    (work,) = trainer.loop.committed
    assert (work.claim, work.next_offset) == (trainer.loop.claims[FRAMES], 1)
    assert [(each.topic, each.key, each.value) for each in work.outgoing] == [
        ("banks", VIEW.encode(), view.state.to_bytes())
    ]
    assert view.announced


def test_a_view_that_is_not_ours_any_more_is_not_published(tmp_path: Path) -> None:
    """Its new owner's word counts; ours is void, and our state stays what was committed."""
    trainer = CollectingTrainer(tmp_path)
    trainer.take(record(0, PICTURES[0]))
    view = trainer.views.get(VIEW)
    assert view is not None
    trainer.loop.claims.clear()
    with pytest.raises(NotOurs):
        trainer.publisher.publish(view, Transition(state(), ()))
    assert (view.state.state, view.announced) == (ViewState.LEARNING, False)


def test_a_revoked_partition_takes_its_views_along(tmp_path: Path) -> None:
    """Assigned again they come back from the store."""
    trainer = fed(CollectingTrainer(tmp_path), 3)
    trainer.views.revoked(frozenset({FRAMES}))
    assert (trainer.views.get(VIEW), trainer.views.positions) == (None, {})
    assert trainer.views.assigned({FRAMES: None}, Deadline(30)) == {FRAMES: 3}
    assert kept_by(trainer) == [0, 1, 2]


def test_frames_that_a_build_reads_stay_until_it_has_ended(tmp_path: Path) -> None:
    """Thinning goes on meanwhile, in the index."""
    trainer = CollectingTrainer(tmp_path, TIGHT)
    for offset in range(7):
        trainer.take(record(offset, PICTURES[offset]))
    trainer.flush(building=True)
    assert kept_by(trainer) == [0, 2, 4, 6]
    assert len(trainer.frame_files()) == 7
    trainer.flush()
    assert trainer.frame_files() == {f"0-{offset}.frame" for offset in (0, 2, 4, 6)}


def test_a_topic_that_was_made_anew_is_learnt_anew(tmp_path: Path) -> None:
    """It ends before the window does: the window's frames are of a stream that is gone, new ones get their names."""
    fed(CollectingTrainer(tmp_path), 5)
    anew = CollectingTrainer(tmp_path, ends={FRAMES: 2})
    assert (anew.start, kept_by(anew)) == (0, [])
    anew.take(record(0, PICTURES[50]))
    anew.flush()
    assert anew.frame_files() == {"0-0.frame"}
    assert anew.store.get("windows/line-1%2Fcamera-1/0-0.frame") == PICTURES[50]


def test_a_view_starts_at_the_beginning_of_its_topic(tmp_path: Path) -> None:
    """Not at an offset that a group committed with another store."""
    assert CollectingTrainer(tmp_path).start == 0


def test_a_damaged_index_is_learnt_anew_and_a_newer_one_is_left_alone(tmp_path: Path) -> None:
    """A release that cannot read a window must not write over it."""
    path = "windows/line-1%2Fcamera-1/index.json"
    trainer = fed(CollectingTrainer(tmp_path), 3)
    newer = trainer.store.get(path).replace(b'"format_version":1', b'"format_version":2')
    trainer.store.put(path, b"{")
    assert CollectingTrainer(tmp_path).views.get(VIEW) is None
    trainer.store.put(path, newer)
    with pytest.raises(NewerIndex):
        CollectingTrainer(tmp_path)
    assert trainer.store.get(path) == newer
    assert issubclass(NewerIndex, InvalidIndex)


def test_a_window_of_another_topic_is_not_ours(tmp_path: Path) -> None:
    """Two plants may share a store by mistake: offsets of one mean nothing in the other."""
    trainer = fed(CollectingTrainer(tmp_path), 3)
    foreign = trainer.windows.load(VIEW)
    assert foreign is not None
    trainer.windows.save(foreign.model_copy(update={"topic": "other.frames"}))
    assert CollectingTrainer(tmp_path).views.get(VIEW) is None
    with pytest.raises(NotInStore):
        trainer.store.get("positions/other.frames/0")
