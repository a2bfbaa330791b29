"""Black, over-exposed and frozen frames are detected; a line's own frames never are."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from softpatch.images.decode import decode
from softpatch.images.folders import read_folder
from softpatch.images.geometry import Geometry
from softpatch.images.input_faults import (
    FrameThumbnail,
    FrozenRun,
    InputBaseline,
    InputFault,
    difference,
    exposure_fault,
)
from softpatch.images.statistics import measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIDE = 128
LINES = ("mvtec_ad/screw", "bsdata/ball_screw", "magnetic_tile/tile", "casting/impeller")


def scene(seed: int, *, ground: float = 110, part: float = 200, shift: int = 0) -> np.ndarray:
    """A disc on a ground, with sensor noise: uint8 RGB."""
    image = np.full((SIDE, SIDE, 3), ground, np.float32)
    cv2.circle(image, (SIDE // 2 + shift, SIDE // 2), SIDE // 4, (part, part, part), -1)
    noisy = image + np.random.default_rng(seed).normal(0, 2.4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def baseline_of(frames: Sequence[np.ndarray]) -> InputBaseline:
    """The baseline that these frames of a view give."""
    return InputBaseline.of(
        np.array([astuple(measure(each)) for each in frames], np.float32), [FrameThumbnail.of(f) for f in frames[:8]]
    )


def longest_run(frames: Sequence[np.ndarray], baseline: InputBaseline) -> int:
    """Most frames in a row that show the same instant."""
    run, longest = FrozenRun(), 0
    for frame in frames:
        run = run.after(FrameThumbnail.of(frame), baseline)
        longest = max(longest, run.repeats + 1)
    return longest


def at_input(picture: np.ndarray) -> np.ndarray:
    """As the network sees it: averaged."""
    return cv2.resize(np.clip(picture, 0, 255).astype(np.uint8), (32, 32), interpolation=cv2.INTER_AREA)


NOISE = np.random.default_rng(5).normal(0, 2.4, (SIDE, SIDE, 3))
MOVING = [scene(seed, shift=(7 * seed) % 20) for seed in range(12)]


@pytest.mark.parametrize(
    ("picture", "without_a_bank", "by_its_bank"),
    [
        (NOISE, InputFault.BLACK, InputFault.BLACK),
        (NOISE + 16, InputFault.BLACK, InputFault.BLACK),
        (scene(0) * 0.03, InputFault.BLACK, InputFault.BLACK),
        (NOISE + 300, InputFault.OVEREXPOSED, InputFault.OVEREXPOSED),
        (NOISE + 240, InputFault.OVEREXPOSED, InputFault.OVEREXPOSED),
        (scene(0) * 4.0, InputFault.OVEREXPOSED, InputFault.OVEREXPOSED),
        (scene(0, ground=260), None, InputFault.OVEREXPOSED),
        (scene(0, ground=0), None, InputFault.BLACK),
        (NOISE + 128, None, None),
        (scene(0), None, None),
        (scene(0) * 0.3, None, None),
    ],
)
def test_lamp_and_lens_faults_are_detected(
    picture: np.ndarray, without_a_bank: InputFault | None, by_its_bank: InputFault | None
) -> None:
    """Covered, at two black levels; no light; glare; a long exposure; a ground that used to be gray; a dim part."""
    statistics = measure(at_input(picture))
    assert exposure_fault(statistics, InputBaseline()) is without_a_bank
    assert exposure_fault(statistics, baseline_of([at_input(each) for each in MOVING])) is by_its_bank


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (NOISE, InputFault.BLACK),
        (NOISE + 16, InputFault.BLACK),
        (scene(0) * 0.03, InputFault.BLACK),
        (NOISE + 300, InputFault.OVEREXPOSED),
        (NOISE + 240, InputFault.OVEREXPOSED),
        (scene(0, ground=260), InputFault.OVEREXPOSED),
    ],
)
@pytest.mark.parametrize(("good", "bad"), [(7, 1), (28, 2), (95, 5)])
def test_a_few_faulty_frames_of_a_first_window_do_not_become_usual(
    picture: np.ndarray, fault: InputFault, good: int, bad: int
) -> None:
    """They came in before the view had limits; the next one of their kind is detected all the same."""
    good_frames = [at_input(scene(seed, shift=(7 * seed) % 20)) for seed in range(good)]
    baseline = baseline_of([*good_frames, *[at_input(picture)] * bad])
    assert exposure_fault(measure(at_input(picture)), baseline) is fault
    assert {exposure_fault(measure(each), baseline) for each in good_frames} == {None}


@pytest.mark.parametrize("frames", [1, 2])
def test_a_view_of_one_or_two_frames_has_limits_of_its_own(frames: int) -> None:
    """There is none to spare."""
    alike = [at_input(scene(seed, ground=0)) for seed in range(frames)]
    assert baseline_of(alike).dark_ratio == pytest.approx(max(measure(each).dark_ratio for each in alike))


@pytest.mark.parametrize("ground", [0, 260])
def test_a_view_that_is_dark_or_white_by_nature_is_not_faulty(ground: float) -> None:
    """A part on velvet, a silhouette before a light; but a covered lens, and glare over all, are."""
    part = 200 if ground == 0 else 30
    frames = [at_input(scene(seed, ground=ground, part=part)) for seed in range(8)]
    baseline = baseline_of(frames)
    assert {exposure_fault(measure(each), baseline) for each in frames} == {None}
    lost = InputFault.BLACK if ground == 0 else InputFault.OVEREXPOSED
    assert exposure_fault(measure(np.full_like(frames[0], min(ground, 255))), baseline) is lost


def test_a_stopped_line_and_a_repeated_picture_are_frozen() -> None:
    """Bit for bit; encoded anew at other qualities; and a belt that stands still under a live sensor and lamp."""
    baseline = baseline_of(MOVING)
    rng = np.random.default_rng(2)
    stopped = [np.clip(scene(seed) * rng.normal(1, 0.012), 0, 255).astype(np.uint8) for seed in range(12)]
    encoded_anew = [
        cv2.imdecode(cv2.imencode(".jpg", scene(0), [cv2.IMWRITE_JPEG_QUALITY, 70 + 2 * i])[1], cv2.IMREAD_COLOR)
        for i in range(12)
    ]
    assert longest_run([scene(0)] * 12, InputBaseline()) == 12
    assert longest_run(encoded_anew, baseline) == 12
    assert longest_run(stopped, baseline) == 12
    assert longest_run(MOVING, baseline) < 4


def test_rigid_aligned_parts_are_not_frozen() -> None:
    """Every frame the same scene but for the sensor's noise: that noise is the line's own, as its bank knows."""
    frames = [scene(seed) for seed in range(60)]
    assert longest_run(frames, baseline_of(frames)) < 4
    assert longest_run(frames, InputBaseline()) == 1


def test_frozen_is_a_matter_of_many_frames() -> None:
    """One repeat is no evidence."""
    run = FrozenRun()
    for count in range(1, 7):
        run = run.after(FrameThumbnail.of(scene(0)), InputBaseline())
        assert run.frozen(6) is (count == 6)


def test_a_scene_that_moves_slowly_leaves_its_run() -> None:
    """Each frame is compared with the run's first, not with the one before it."""
    baseline = baseline_of(MOVING)
    creeping = [scene(0, part=140, shift=shift) for shift in range(20)]
    steps = [difference(FrameThumbnail.of(a), FrameThumbnail.of(b)) for a, b in pairwise(creeping)]
    assert sum(step < baseline.noise_floor for step in steps) > 10
    assert longest_run(creeping, baseline) < 8


def test_a_thumbnail_is_the_same_after_it_was_written() -> None:
    """Half precision is far finer than any noise floor."""
    thumbnail = FrameThumbnail.of(scene(3))
    again = FrameThumbnail.from_bytes(thumbnail.to_bytes())
    assert again.digest == thumbnail.digest
    assert difference(again, thumbnail) < 1e-3
    with pytest.raises(ValueError, match="reshape"):
        FrameThumbnail.from_bytes(b"x" * 20)


@pytest.mark.images
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("learnt", [0, 30])
def test_no_frame_of_a_real_line_is_faulty(test_data: Path, line: str, learnt: int) -> None:
    """Good or defective, with what its first frames say of the view and without; no run comes near ten frames."""
    images = read_folder(test_data / line).images
    frames = [Geometry().apply(decode(each.path.read_bytes())) for each in images[::2]]
    baseline = baseline_of(frames[:learnt]) if learnt else InputBaseline()
    assert {exposure_fault(measure(each), baseline) for each in frames} == {None}
    assert longest_run(frames, baseline) <= 4
