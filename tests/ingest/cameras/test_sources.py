"""Folder and video cameras, and the faults that can be laid over any source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from ingest.cameras import faults
from ingest.cameras.folder import FolderCamera, UnreadableMask, open_folder, read_mask
from ingest.cameras.simulator import Simulator
from ingest.cameras.source import CameraFrame, EmptySource
from ingest.cameras.video import UnreadableVideo, VideoCamera
from softpatch.images.folders import read_folder

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def noon() -> datetime:
    """The only time of these tests."""
    return NOON


def picture(gray: int, size: int = 32) -> np.ndarray:
    """A plain picture."""
    return np.full((size, size, 3), gray, np.uint8)


def write(path: Path, content: np.ndarray) -> bytes:
    """Write a picture and return the bytes of its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), content)
    return path.read_bytes()


def gray(frame: CameraFrame) -> np.ndarray:
    """The frame's pixels."""
    pixels = cv2.imdecode(np.frombuffer(frame.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return pixels


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """Two good training frames, a good and a scratched test frame with its mask."""
    write(tmp_path / "train/good/000.png", picture(10))
    write(tmp_path / "train/good/001.png", picture(20))
    write(tmp_path / "test/good/000.jpg", picture(30))
    write(tmp_path / "test/scratch/000.bmp", picture(40))
    mask = np.zeros((32, 32), np.uint8)
    mask[4:8, 10:20] = 255
    write(tmp_path / "ground_truth/scratch/000_mask.png", mask)
    return tmp_path


def test_files_are_sent_as_they_are(mvtec: Path) -> None:
    """The bytes of the disk, with their media type, label and mask, by path."""
    frames = list(open_folder(mvtec, clock=noon))
    assert [Path(frame.source).relative_to(mvtec).as_posix() for frame in frames] == [
        "train/good/000.png",
        "train/good/001.png",
        "test/good/000.jpg",
        "test/scratch/000.bmp",
    ]
    assert [frame.encoded for frame in frames] == [Path(frame.source).read_bytes() for frame in frames]
    assert [frame.content_type for frame in frames] == ["image/png", "image/png", "image/jpeg", "image/bmp"]
    assert [frame.label for frame in frames] == ["good", "good", "good", "scratch"]
    mask = frames[3].mask
    assert mask is not None
    assert mask.sum() == 40
    assert mask[4:8, 10:20].all()
    assert [frame.mask for frame in frames[:3]] == [None, None, None]


def test_nobody_knows_what_a_flat_folder_shows(tmp_path: Path) -> None:
    """No label and no mask: plain files are not claimed to be good."""
    write(tmp_path / "a.jpeg", picture(1))
    write(tmp_path / "b.TIFF", picture(2))
    frames = list(open_folder(tmp_path, clock=noon))
    assert [(frame.content_type, frame.label, frame.mask) for frame in frames] == [
        ("image/jpeg", None, None),
        ("image/tiff", None, None),
    ]


def test_a_seed_shuffles_the_same_way_every_time(tmp_path: Path) -> None:
    """Every file once, in an order that the seed decides."""
    for number in range(12):
        write(tmp_path / f"{number:02}.png", picture(number))
    orders = [[frame.source for frame in open_folder(tmp_path, clock=noon, seed=seed)] for seed in (5, 5, 6)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert sorted(orders[0]) != orders[0]


def test_an_order_of_ones_own_is_kept(mvtec: Path) -> None:
    """Images given twice are sent twice."""
    scratched = read_folder(mvtec).images[3]
    camera = FolderCamera((scratched, scratched), noon)
    assert [frame.label for frame in camera] == ["scratch", "scratch"]
    assert [frame.label for frame in camera] == ["scratch", "scratch"]


def test_a_folder_without_images_is_said_at_once(tmp_path: Path) -> None:
    """Empty or missing: named, before anything is sent."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(EmptySource, match=str(folder)):
            open_folder(folder, clock=noon)


def test_a_mask_that_is_no_image_is_named(tmp_path: Path) -> None:
    """Also where the file is empty."""
    for content in (b"", b"not an image"):
        (tmp_path / "m.png").write_bytes(content)
        with pytest.raises(UnreadableMask, match=r"m\.png is not an image: replace or remove this mask"):
            read_mask(tmp_path / "m.png")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten pictures, each 20 gray levels brighter than the one before."""
    path = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 64))
    for number in range(10):
        writer.write(picture(20 + 20 * number, 64))
    writer.release()
    return path


@pytest.mark.parametrize(("stride", "expected"), [(1, range(10)), (3, [0, 3, 6, 9]), (20, [0])])
def test_every_nth_picture_comes_as_a_jpeg(film: Path, stride: int, expected: list[int]) -> None:
    """Told apart by their brightness; nobody knows their label."""
    camera = VideoCamera(film, noon, stride=stride)
    for frames in (list(camera), list(camera)):
        assert [round((float(gray(frame).mean()) - 20) / 20) for frame in frames] == list(expected)
        assert {(f.content_type, f.encoded[:2], f.label, f.captured_at) for f in frames} == {
            ("image/jpeg", b"\xff\xd8", None, NOON)
        }
        assert [frame.source for frame in frames] == [f"{film}, picture {number}" for number in expected]


def test_jpeg_quality_is_heard(tmp_path: Path) -> None:
    """A lower one makes smaller frames."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 64))
    writer.write(noise)
    writer.release()
    sizes = [len(next(iter(VideoCamera(path, noon, jpeg_quality=quality))).encoded) for quality in (20, 95)]
    assert sizes[0] < sizes[1] / 2


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    """Missing, and not a video: what it is and what to do."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    with pytest.raises(UnreadableVideo, match=r"broken\.mp4 is no video that OpenCV can read: convert it"):
        next(iter(VideoCamera(broken, noon)))
    with pytest.raises(UnreadableVideo, match=r"missing\.mp4 is not a file: name a video file"):
        next(iter(VideoCamera(tmp_path / "missing.mp4", noon)))


@pytest.mark.parametrize(("settings", "sentence"), [({"stride": 0}, "stride 0"), ({"jpeg_quality": 101}, "between 1")])
def test_a_wrong_video_argument_is_refused(settings: dict[str, int], sentence: str) -> None:
    """Before the file is opened."""
    with pytest.raises(ValueError, match=sentence):
        VideoCamera(Path("line.avi"), noon, **settings)


@pytest.fixture(scope="module")
def frames() -> list[CameraFrame]:
    """Six frames of a ring, each with a missing hole, a second apart."""
    times = iter(NOON + timedelta(seconds=second) for second in range(100))
    line = Simulator("ring", 1, lambda: next(times), frames=6, defect_ratio=1, defect_types=("missing_hole",))
    return list(line)


def test_a_frozen_camera_repeats_bits_while_its_clock_runs(frames: list[CameraFrame]) -> None:
    """Frame 1 three times more, then live again."""
    seen = list(faults.frozen(frames, first=1, count=3))
    assert [frame.encoded for frame in seen] == [frames[i].encoded for i in (0, 1, 1, 1, 1, 5)]
    assert [frame.captured_at for frame in seen] == [frame.captured_at for frame in frames]


def test_a_fault_comes_and_goes(frames: list[CameraFrame]) -> None:
    """Black from frame 2 for two frames; the others are untouched."""
    seen = list(faults.from_frame(faults.black, frames, first=2, count=2))
    assert [gray(frame).max() == 0 for frame in seen] == [False, False, True, True, False, False]
    assert [seen[i] is frames[i] for i in (0, 1, 4, 5)] == [True] * 4


@pytest.mark.parametrize("kind", ["black", "overexposed", "frozen"])
def test_an_interruption_is_written_in_one_word(frames: list[CameraFrame], kind: str) -> None:
    """Frames 2 and 3 of six; a frozen camera repeats frame 1."""
    seen = list(faults.Interruption.parse(f"{kind}:2:2").over(frames))
    assert [a.encoded == b.encoded for a, b in zip(seen, frames, strict=True)] == [True, True, False, False, True, True]
    if kind == "frozen":
        assert {seen[2].encoded, seen[3].encoded} == {frames[1].encoded}
    else:
        assert (gray(seen[2]).mean() > 200) == (kind == "overexposed")


@pytest.mark.parametrize("text", ["black", "black:2", "black:2:x", "black:-1:2", "dark:2:2", "black:1:2:3", ""])
def test_an_interruption_that_is_none_says_how_to_write_one(text: str) -> None:
    """The text is a person's."""
    with pytest.raises(ValueError, match="is no fault: write black:100:30"):
        faults.Interruption.parse(text)


def test_a_camera_cannot_freeze_before_its_first_frame() -> None:
    """There is nothing to repeat; it would do nothing, silently. The other faults begin where they like."""
    with pytest.raises(ValueError, match=r"^frozen:0:30: a frozen camera repeats the frame before, write frozen:1:30$"):
        faults.Interruption.parse("frozen:0:30")
    assert faults.Interruption.parse("black:0:30") == faults.Interruption("black", 0, 30)


def test_gain_scales_what_does_not_saturate(frames: list[CameraFrame]) -> None:
    """Half the light halves the mean within JPEG's rounding; four times the light turns metal white."""
    before = gray(frames[0]).astype(float).mean()
    assert gray(faults.gain(frames[0], factor=0.5)).mean() == pytest.approx(before / 2, rel=0.02)
    assert (gray(faults.gain(frames[0], factor=4)) > 250).mean() > 0.3


def test_blur_takes_sharpness(frames: list[CameraFrame]) -> None:
    """The variance of the Laplacian falls to less than a tenth; brightness stays."""
    blurred = faults.blurred(frames[0], sigma_px=4)
    assert cv2.Laplacian(gray(blurred), cv2.CV_64F).var() < cv2.Laplacian(gray(frames[0]), cv2.CV_64F).var() / 10
    assert gray(blurred).mean() == pytest.approx(gray(frames[0]).mean(), rel=0.02)


def test_a_knocked_camera_moves_picture_and_truth_together(frames: list[CameraFrame]) -> None:
    """By whole pixels: every pixel of picture and mask is found where the knock puts it."""
    moved = faults.Knock((12.0, -7.0))(frames[0])
    shifted = np.roll(gray(frames[0]).astype(int), (-7, 12), axis=(0, 1))
    inner = (slice(20, -20), slice(20, -20))
    assert np.abs(shifted[inner] - gray(moved)[inner]).mean() < 2
    assert moved.mask is not None
    assert frames[0].mask is not None
    np.testing.assert_array_equal(np.roll(frames[0].mask, (-7, 12), axis=(0, 1)), moved.mask)
    assert moved.label == "missing_hole"


def test_a_knock_is_drawn_from_a_seed() -> None:
    """The same generator state gives the same knock, of about the size asked for."""
    first, again = (faults.Knock.drawn(np.random.default_rng(4), about_px=30) for _ in range(2))
    assert first == again
    assert 24 <= np.hypot(*first.shift_xy_px) <= 36
