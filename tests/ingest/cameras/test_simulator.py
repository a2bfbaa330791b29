"""The simulator: the same seed gives the same bytes, and the truth it tells is in the pixels."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import islice

import cv2
import numpy as np
import pytest

from ingest.cameras.defects import DEFECT_TYPES, DefectType, Specimen, defective, flawless
from ingest.cameras.lighting import Lighting
from ingest.cameras.parts import VARIANTS, Part, Variant, part
from ingest.cameras.simulator import Pose, Simulator

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def simulator(variant: Variant = "ring", *, seed: int = 3, **settings: object) -> Simulator:
    """A simulator whose clock stands at noon."""
    return replace(Simulator(variant, seed=seed, clock=lambda: NOON), **settings)  # type: ignore[arg-type]


def pixels(encoded: bytes) -> np.ndarray:
    """BGR, as signed numbers."""
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(np.int32)


def seen(specimen: Specimen) -> np.ndarray:
    """The specimen on a dark ground."""
    metal = specimen.alpha[..., None] / np.float32(255)
    return np.asarray(specimen.colour * metal + 60 * (1 - metal))


@cache
def metal(variant: Variant) -> Part:
    """A part of 512 px; no defect that is drawn changes it."""
    return part(variant, 512)


@cache
def good_look(variant: Variant) -> np.ndarray:
    """The part without a defect, as it is seen."""
    return seen(flawless(metal(variant), 0))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_bytes(variant: Variant) -> None:
    """Bytes, labels and masks; another seed gives others."""
    first, again, other = (
        list(simulator(variant, seed=seed, frames=6, defect_ratio=0.5, size_px=128)) for seed in (1, 1, 2)
    )
    assert [f.encoded for f in first] == [f.encoded for f in again]
    assert [f.label for f in first] == [f.label for f in again]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(first, again, strict=True) if a.mask is not None)
    assert not {f.encoded for f in first} & {f.encoded for f in other}


def test_a_frame_does_not_depend_on_those_before_it() -> None:
    """Frame 5 alone is frame 5 of the stream: a run can be resumed anywhere."""
    streamed = list(simulator(frames=6, size_px=128))
    assert simulator(size_px=128).frame(5).encoded == streamed[5].encoded


def test_a_frame_is_a_jpeg_of_the_size_asked_for() -> None:
    """512 px and image/jpeg by default; captured when the clock says; the source names variant, seed, index."""
    frame = simulator().frame(7)
    assert frame.encoded[:3] == b"\xff\xd8\xff"
    assert pixels(frame.encoded).shape == (512, 512, 3)
    assert (frame.content_type, frame.captured_at) == ("image/jpeg", NOON)
    assert frame.source == "simulator ring, seed 3, frame 7"


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_defects_come_as_often_as_asked(ratio: float) -> None:
    """Within four standard deviations of the binomial over 200 frames."""
    frames = list(simulator(frames=200, defect_ratio=ratio, size_px=64))
    defective = sum(frame.label != "good" for frame in frames)
    assert abs(defective - 200 * ratio) <= 4 * math.sqrt(200 * ratio * (1 - ratio))


def test_a_good_frame_has_no_mask_and_a_defective_one_has() -> None:
    """Mask in pixels of the frame; all kinds of defect come up."""
    frames = list(simulator(frames=60, defect_ratio=0.7, size_px=128))
    assert {frame.label for frame in frames} == {"good", *DEFECT_TYPES}
    for frame in frames:
        assert (frame.mask is None) == (frame.label == "good")
        assert frame.mask is None or frame.mask.shape == (128, 128)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", DEFECT_TYPES)
@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_a_defect_is_where_its_mask_says(variant: Variant, kind: DefectType, severity: float) -> None:
    """Against the same part without it: hardly a plain change lies outside the mask, and most of the mask changed."""
    for seed in range(4):
        bad = defective(metal(variant), 0, kind, severity, np.random.default_rng(seed))
        change = cv2.transform(cv2.absdiff(seen(bad), good_look(variant)), np.full((1, 3), 1 / 3))
        mask = bad.mask > 127
        assert 0 < mask.mean() < 0.06
        assert (change[~mask] > 12).sum() <= 0.02 * mask.sum()
        assert (change[mask] > 1).mean() > 0.7
        assert change[mask].sum() > 0.6 * change.sum()  # a dent fades out softly


def test_drawing_a_defect_leaves_the_part_as_it_was() -> None:
    """Parts are shared by all frames: a defect that stayed on one would be on every later frame."""
    metal = part("gear", 256)
    before = metal.finishes[0].copy(), metal.alpha.copy()
    for kind in DEFECT_TYPES:
        defective(metal, 0, kind, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(metal.finishes[0], before[0])
    np.testing.assert_array_equal(metal.alpha, before[1])


def test_the_mask_lies_on_the_frame_where_the_part_does() -> None:
    """A hole that was not drilled shows metal inside its mask; a drilled one would show the dark belt."""
    line = simulator(defect_ratio=1, defect_types=("missing_hole",), severity_range=(0.9, 0.9), pose=Pose(12, 4))
    for index in range(8):
        frame = line.frame(index)
        assert frame.mask is not None
        assert pixels(frame.encoded)[frame.mask].min() > 75


def test_severity_makes_a_defect_plainer() -> None:
    """The mean mask of 12 plain scratches is larger than that of 12 subtle ones."""

    def area(severity: float) -> float:
        settings = {"defect_ratio": 1.0, "defect_types": ("scratch",), "severity_range": (severity, severity)}
        frames = simulator(frames=12, size_px=256, **settings)
        return float(np.mean([frame.mask.sum() for frame in frames if frame.mask is not None]))

    assert area(0.9) > 2 * area(0.1)


def test_light_drifts_over_the_day_and_flickers_from_frame_to_frame() -> None:
    """Half a period apart the mean brightness differs by about twice the drift; without drift it does not."""

    def brightness(drift: float, index: int) -> float:
        light = Lighting(drift_ratio=drift, drift_period_frames=1000, flicker_ratio=0)
        return float(pixels(simulator(lighting=light, defect_ratio=0, size_px=128).frame(index).encoded).mean())

    drifting = [brightness(0.1, index) for index in range(0, 1000, 50)]
    steady = [brightness(0.0, index) for index in range(0, 1000, 50)]
    assert 0.15 < (max(drifting) - min(drifting)) / np.mean(drifting) < 0.3
    assert (max(steady) - min(steady)) / np.mean(steady) < 0.05


def test_two_frames_of_a_running_line_are_never_the_same() -> None:
    """Pose, belt and noise differ, so that a frozen camera can be told from a line."""
    frames = list(islice(iter(simulator(defect_ratio=0, size_px=128)), 20))
    assert len({frame.encoded for frame in frames}) == 20


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"variant": "nut"}, "variant 'nut' must be one of ring, bracket, gear"),
        ({"defect_ratio": 1.5}, "defect_ratio 1.5 must be between 0 and 1"),
        ({"size_px": 16}, "size_px 16 must be between 64 and 4096"),
        ({"defect_types": ("moth",)}, f"defect_types must be some of {', '.join(DEFECT_TYPES)}"),
    ],
)
def test_a_wrong_argument_is_named(settings: dict[str, object], sentence: str) -> None:
    """Before the first frame."""
    with pytest.raises(ValueError, match="must be") as raised:
        simulator(**settings)
    assert str(raised.value) == sentence


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_frame_costs_less_than_25_times_its_encoding(variant: Variant) -> None:
    """Of processor time on one core, at 512 px, a tenth of the frames defective; measured 15 to 19 times."""
    line = simulator(variant)
    picture = cv2.imdecode(np.frombuffer(line.frame(0).encoded, np.uint8), cv2.IMREAD_COLOR)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        drawing, encoding = 0.0, 0.0
        for index in range(30):
            begun = time.process_time()
            line.frame(index)
            drawn = time.process_time()
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, line.jpeg_quality])
            drawing += drawn - begun
            encoding += time.process_time() - drawn
    finally:
        cv2.setNumThreads(threads)
    assert drawing < 25 * encoding
