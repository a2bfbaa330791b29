"""Parts that lie turned are cut out so that all lie alike, and a place of a cut is found again on its frame."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.building.part_pose import PartPose, part_pose
from softpatch.building.upright_crop import MOST_PIXELS_SHARE, on_frames, upright_crop
from softpatch.building.upright_frames import UprightFrames, upright_frames
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.images.regions import InspectedRegions
from tests.softpatch.random_embeddings import MeanColours, encoded
from tests.softpatch.turned_parts import SIDE_PX, lying, part, turned_pictures

INPUT = Geometry(height_px=SIDE_PX, width_px=SIDE_PX)
GRID = (SIDE_PX // 8, SIDE_PX // 8)


class OnGpu(MeanColours):
    """The same where each size of input has to be compiled."""

    provider = "tensorrt"


def read(
    frames: list[bytes], *, geometry: Geometry = INPUT, regions: InspectedRegions | None = None, gpu: bool = False
) -> UprightFrames | None:
    """The cuts of those frames."""
    with ThreadPoolExecutor(2) as pool:
        return upright_frames(
            frames,
            FrameGeometry.of(geometry, bit_depth=None, regions=regions),
            OnGpu() if gpu else MeanColours(),
            grid=(geometry.height_px // 8, geometry.width_px // 8),
            max_pixels=10**7,
            pool=pool,
            progress=lambda _done, _total: None,
        )


def cuts_of(pictures: list[np.ndarray]) -> np.ndarray:
    """The pictures' parts, cut out."""
    poses = [pose for pose in map(part_pose, pictures) if pose is not None]
    crop = upright_crop(poses, input_wh=(SIDE_PX, SIDE_PX), multiple=32, same_size=False)
    cuts = [crop.of(image, pose, pixels_per_length=1.0) for image, pose in zip(pictures, poses, strict=True)]
    return np.stack(cuts).astype(np.float32)


def test_all_parts_lie_alike_in_their_cuts() -> None:
    """Cuts differ by a fraction of what the frames differ by."""
    pictures = turned_pictures(24)
    cuts, frames = cuts_of(pictures), np.stack(pictures).astype(np.float32)
    spread = np.abs(cuts - np.median(cuts, axis=0)).mean()
    assert spread < 0.25 * np.abs(frames - np.median(frames, axis=0)).mean()


def test_a_cut_is_small_and_what_the_network_takes() -> None:
    """Half of the pixels of the input at most, but for what fills its last patches; on a GPU the input's own size."""
    poses = [pose for pose in map(part_pose, turned_pictures(8)) if pose is not None]
    crop = upright_crop(poses, input_wh=(SIDE_PX, SIDE_PX), multiple=32, same_size=False)
    assert crop.width_px % 32 == crop.height_px % 32 == 0
    assert (crop.width_px - 32) * (crop.height_px - 32) < MOST_PIXELS_SHARE * SIDE_PX**2
    same = upright_crop(poses, input_wh=(SIDE_PX, SIDE_PX), multiple=32, same_size=True)
    assert (same.width_px, same.height_px) == (SIDE_PX, SIDE_PX)
    assert same.length[0] == pytest.approx(same.length[1])


@pytest.mark.parametrize("geometry", [INPUT, Geometry(height_px=96, width_px=192), Geometry(mode="letterbox")])
def test_a_spot_is_at_the_place_of_its_frame_that_shows_it(geometry: Geometry) -> None:
    """Where a cut shows the black spot, mapped back, the frame shows it, whatever became of its proportions."""
    drawn = part(np.random.default_rng(0))
    drawn[14:36, 60:82] = 0
    pictures = [lying(drawn, degrees, (90 + degrees / 20, 100)) for degrees in range(0, 360, 24)]
    found = read([encoded(image) for image in pictures], geometry=geometry)
    assert found is not None
    cuts = found.embeddings.take(range(len(pictures)))
    on_frame = MeanColours().embed(np.stack([geometry.apply(image) for image in pictures]))
    black = cuts[..., 0] < 35
    assert black.any(axis=(1, 2)).all()
    back = on_frames(black, found.places)
    shown = back.any(axis=(1, 2))
    assert shown.mean() > 0.8
    assert np.mean([frame[its, 0].mean() for frame, its in zip(on_frame[shown], back[shown], strict=True)]) < 60


def test_what_lies_beyond_the_frame_is_not_shown() -> None:
    """A part that is cut by the border has a cut that goes on beyond it."""
    drawn = part(np.random.default_rng(0))
    inside = [lying(drawn, degrees, (96, 96)) for degrees in range(0, 360, 30)]
    found = read([encoded(image) for image in (*inside, lying(drawn, 0, (40, 96)))])
    assert found is not None
    assert found.shown[:-1].all()
    assert not found.shown[-1].all()
    assert not found.shown[-1][:, 0].any()


def test_without_parts_there_is_nothing_to_turn() -> None:
    """Even pictures have no pose; one among others is cut out as it is."""
    even = encoded(np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8))
    assert read([even] * 8) is None
    mixed = read([even, *(encoded(image) for image in turned_pictures(8))])
    assert mixed is not None
    assert len(mixed.embeddings) == 9


def test_on_a_gpu_cuts_have_the_size_of_frames() -> None:
    """Nothing is compiled for them."""
    found = read([encoded(image) for image in turned_pictures(4)], gpu=True)
    assert found is not None
    assert found.shown.shape[1:] == GRID


def test_what_is_not_inspected_is_no_part() -> None:
    """A label beside the part moves no pose where it is ignored."""
    plain = turned_pictures(6)
    labelled = [image.copy() for image in plain]
    for image in labelled:
        image[:12, :60] = 0
    regions = InspectedRegions(ignore=(((0, 0), (60, 0), (60, 12), (0, 12)),), frame_wh=(SIDE_PX, SIDE_PX))
    found = read([encoded(image) for image in labelled], regions=regions)
    expected = read([encoded(image) for image in plain], regions=regions)
    assert found is not None
    assert expected is not None
    np.testing.assert_array_equal(found.places, expected.places)


def test_a_large_frame_is_cut_at_the_scale_of_the_input() -> None:
    """Poses are in lengths of the input, whatever size frames have."""
    drawn = part(np.random.default_rng(0))
    large = lying(drawn, 30, (480, 480), side_px=5 * SIDE_PX, scale=5.0)
    found = read([encoded(large)] * 2 + [encoded(lying(drawn, 30, (96, 96)))] * 2)
    assert found is not None
    cuts = found.embeddings.take(range(4))
    assert np.abs(cuts[0] - cuts[2])[..., :3].mean() < 4


def test_a_pose_without_extent_is_a_cut_of_one_patch() -> None:
    """The smallest input there is."""
    crop = upright_crop(
        [PartPose((9.0, 9.0), (1.0, 0.0), (0.0, 0.0, 0.0, 0.0))], input_wh=(64, 64), multiple=32, same_size=False
    )
    assert (crop.width_px, crop.height_px) == (32, 32)
