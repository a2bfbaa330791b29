"""Where nobody says how a view is looked at, its own frames do."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import MappingProxyType

import numpy as np
import pytest

from softpatch.building.input_candidates import LARGEST_SQUASH, input_candidates, shaped_input, typical_size
from softpatch.building.input_choice import TRIAL_FRAMES, ChosenInput, InputDoesNotFit, choose_input
from softpatch.building.input_cost import Pace
from softpatch.building.trial_bank import TrialScores
from softpatch.building.window import TooFewFrames
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.manifest import InputChoice
from softpatch.network.embed import UnknownFeatures
from softpatch.network.graph import FeatureSet, lite0
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from tests.softpatch.random_embeddings import MeanColours, encoded, picture, window

AUTO = BuildSettings(most_input_px=128 * 128, coreset_cap=200, probes=3)


class TwoViews(MeanColours):
    """Patches of 16 px as `medium` and as `wide`, one of which sees nothing but noise; of 8 px as `fine`."""

    feature_sets = MappingProxyType(
        {
            "fine": FeatureSet(stride_px=8, dimension=6),
            "medium": FeatureSet(stride_px=16, dimension=6),
            "wide": FeatureSet(stride_px=16, dimension=6),
        }
    )

    def __init__(self, features: str, *, blind: str) -> None:
        self.features = features
        self._blind = blind

    def with_features(self, features: str) -> "TwoViews":
        """The other one."""
        if features not in self.feature_sets:
            raise UnknownFeatures(features, lite0())
        return TwoViews(features, blind=self._blind)

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Of the blind one, noise that is another for every picture."""
        stride = self.feature_sets[self.features].stride_px
        n, height, width, _ = frames.shape
        if self.features == self._blind:
            shape = (height // stride, width // stride, 6)
            drawn = [np.random.default_rng(int(frame.sum(dtype=np.int64))).normal(size=shape) for frame in frames]
            return np.stack(drawn).astype(np.float32)
        patches = frames.reshape(n, height // stride, stride, width // stride, stride, 3).astype(np.float32)
        return np.concatenate([patches.mean(axis=(2, 4)), patches.std(axis=(2, 4))], axis=-1)


@pytest.fixture(autouse=True)
def few_plants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of what a trial plants is enough for pictures of which one feature set sees nothing."""
    monkeypatch.setattr("softpatch.building.trial_bank.TRIAL_PLANTS", 80)


def chosen(
    frames: list[bytes],
    embedder: MeanColours,
    settings: BuildSettings,
    earlier: InputChoice | None = None,
    *,
    frames_per_second: float | None = None,
    clock: Callable[[], float] = time.process_time,
) -> ChosenInput:
    """As a build chooses."""
    with ThreadPoolExecutor(2) as pool:
        return choose_input(
            frames,
            embedder,
            settings,
            earlier=earlier,
            pace=Pace(frames_per_second, clock),
            max_pixels=10**6,
            make_search=FlatSearch,
            pool=pool,
        )


@cache
def first_choice(*, blind: str, frames_per_second: float | None = None) -> ChosenInput:
    """Of a window of 60 frames, with nothing before it."""
    embedder = TwoViews("fine", blind=blind)
    return chosen(window(60, defects=0), embedder, AUTO, frames_per_second=frames_per_second)


@pytest.mark.slow
@pytest.mark.parametrize(("blind", "expected"), [("wide", "medium"), ("medium", "wide")])
def test_the_features_that_see_more_are_taken(blind: str, expected: str) -> None:
    """The trials say what each saw, the chosen one first."""
    found = first_choice(blind=blind)
    assert found.features == expected
    assert found.choice is not None
    assert [each.features for each in found.choice.trials] == [expected, blind]
    assert found.choice.trials[0].seen_ratio > found.choice.trials[1].seen_ratio
    assert found.choice.frames == 60


@pytest.mark.slow
def test_where_none_sees_more_the_widest_are_taken() -> None:
    """Both are blind: what one sees more of pure noise is no reason."""

    class Blind(TwoViews):
        def with_features(self, features: str) -> "Blind":
            return Blind(features, blind=features)

    found = chosen(window(60, defects=0), Blind("medium", blind="medium"), AUTO)
    assert found.features == "wide"


@pytest.mark.parametrize(("faint", "expected"), [(1.0, "wide"), (0.85, "medium")])
def test_a_few_defects_that_lift_a_threshold_do_not_decide(
    monkeypatch: pytest.MonkeyPatch, faint: float, expected: str
) -> None:
    """Three of 120 frames score 5 % higher by `wide`: of other frames its thresholds would be others.

    Planted defects score as much by both, or less by `wide`, which then sees less above any limit. In the first case
    the thresholds' difference is 4.4 standard errors of the planted defects alone.
    """
    rng = np.random.default_rng(5)
    good, planted = rng.lognormal(sigma=0.1, size=117), rng.lognormal(mean=0.2, sigma=0.2, size=320)

    def scored(_sample: list[bytes], embedder: TwoViews, *_: object, **__: object) -> TrialScores:
        wide = embedder.features == "wide"
        defects = np.array([1.25, 1.3, 1.35]) * (1.05 if wide else 1)
        frames = np.concatenate([good, defects]).astype(np.float32)
        return TrialScores(frames, (planted * (faint if wide else 1)).astype(np.float32), (), ())

    monkeypatch.setattr("softpatch.building.input_choice.trial_scores", scored)
    found = chosen(window(60, defects=0), TwoViews("fine", blind="none"), AUTO)
    assert found.features == expected
    assert found.choice is not None
    seen = {each.features: each.seen_ratio for each in found.choice.trials}
    assert seen["medium"] > seen["wide"]


def test_what_the_settings_say_is_not_tried() -> None:
    """A geometry alone takes the network's first features; both are taken as they are."""
    small = FrameGeometry(height_px=32, width_px=64)
    blind = TwoViews("fine", blind="none")
    assert chosen(window(8, defects=0), blind, BuildSettings(geometry=small)) == ChosenInput(small, "fine")
    assert chosen(window(8, defects=0), blind, BuildSettings(geometry=small, features="wide")) == ChosenInput(
        small, "wide"
    )
    assert chosen(window(8, defects=0), blind, BuildSettings(geometry="fast")).geometry == FrameGeometry()
    with pytest.raises(UnknownFeatures):
        chosen(window(8, defects=0), blind, BuildSettings(geometry=small, features="tokens"))


def test_fine_features_are_taken_where_the_settings_name_them() -> None:
    """Or where there are no others; at a quarter of the pixels."""
    quarter = Geometry(height_px=64, width_px=64)
    embedder = TwoViews("medium", blind="none")
    assert input_candidates((64, 64), embedder, AUTO.model_copy(update={"features": "fine"})) == [(quarter, "fine")]
    assert input_candidates((64, 64), MeanColours(), AUTO) == [(quarter, "colours")]
    assert [features for _, features in input_candidates((64, 64), embedder, AUTO)] == ["medium", "wide"]


def test_a_short_window_is_looked_at_by_the_widest_features() -> None:
    """Nothing is tried: the first bank is wanted soon, and a few frames tell no difference."""
    assert chosen(window(59, defects=0), TwoViews("fine", blind="wide"), AUTO) == ChosenInput(
        FrameGeometry(height_px=128, width_px=128), "wide"
    )


@pytest.mark.slow
def test_an_earlier_choice_stands_once_it_was_made_on_a_whole_sample() -> None:
    """Scores of another input would not compare with those before; a choice of a few frames is made anew."""
    first = first_choice(blind="wide").choice
    assert first is not None
    otherwise = TwoViews("fine", blind="medium")
    assert chosen(window(60, defects=0), otherwise, AUTO, earlier=first).features == "wide"
    whole = first.model_copy(update={"frames": TRIAL_FRAMES})
    assert chosen(window(60, defects=0), otherwise, AUTO, earlier=whole).features == "medium"


@pytest.mark.slow
def test_an_earlier_choice_that_the_settings_rule_out_is_made_anew() -> None:
    """Somebody allowed fewer pixels."""
    first = first_choice(blind="wide").choice
    assert first is not None
    whole = first.model_copy(update={"frames": TRIAL_FRAMES})
    fewer = AUTO.model_copy(update={"most_input_px": 64 * 64})
    assert chosen(
        window(60, defects=0), TwoViews("fine", blind="wide"), fewer, earlier=whole
    ).geometry == FrameGeometry(height_px=64, width_px=64)


@pytest.mark.slow
def test_frames_that_come_too_fast_are_looked_at_smaller() -> None:
    """A million a second: at an eighth of the pixels, the least. One a minute: as ever. What was measured is kept."""
    blind = TwoViews("fine", blind="none")
    fast = first_choice(blind="none", frames_per_second=1e6)
    slow = chosen(window(8, defects=0), blind, AUTO, frames_per_second=1 / 60)
    assert slow.geometry == FrameGeometry(height_px=128, width_px=128)
    assert fast.geometry == FrameGeometry(height_px=32, width_px=32)
    assert fast.choice is not None
    assert fast.choice.cost is not None
    assert fast.choice.cost.most_input_px == 128 * 128 // 8
    assert fast.choice.cost.frame_seconds > 0
    said = AUTO.model_copy(update={"frames_per_second": 1 / 60})
    assert chosen(window(8, defects=0), blind, said, frames_per_second=1e6).geometry == slow.geometry


@pytest.mark.parametrize(("frames_per_second", "side_px"), [(1.3, 128), (1.4, 32)])
def test_two_thirds_of_the_time_are_left(frames_per_second: float, side_px: int) -> None:
    """A frame takes a quarter of a second at any size here: a third of the time at 1.33 frames a second."""
    clock = map(float, itertools.count())
    frames, views = window(8, defects=0), TwoViews("fine", blind="none")
    found = chosen(frames, views, AUTO, frames_per_second=frames_per_second, clock=lambda: next(clock))
    assert found.geometry == FrameGeometry(height_px=side_px, width_px=side_px)


@pytest.mark.slow
def test_a_choice_made_smaller_stands_when_frames_come_slower() -> None:
    """A line should not see its scores change with every change of pace."""
    choice = first_choice(blind="none", frames_per_second=1e6).choice
    assert choice is not None
    whole = choice.model_copy(update={"frames": TRIAL_FRAMES})
    assert chosen(window(60, defects=0), TwoViews("fine", blind="none"), AUTO, whole).geometry == FrameGeometry(
        height_px=32, width_px=32
    )


@pytest.mark.slow
def test_a_size_that_the_smallest_defect_needs_is_kept_at_any_pace() -> None:
    """The cost is said, and not that of an input which nobody takes."""
    sized = AUTO.model_copy(update={"field_of_view_mm": 8.0, "smallest_defect_mm": 1.0})
    fast = chosen(window(60, defects=0), TwoViews("fine", blind="none"), sized, frames_per_second=1e6)
    assert fast.geometry == FrameGeometry(height_px=64, width_px=64)
    assert fast.choice is not None
    assert fast.choice.cost is not None
    assert fast.choice.cost.most_input_px == AUTO.most_input_px


def test_an_input_that_the_network_cannot_take_is_refused() -> None:
    """By one sentence."""
    odd = BuildSettings(geometry=Geometry(height_px=28, width_px=64))
    with pytest.raises(InputDoesNotFit, match="is 64 x 28 px, and this network takes sides that are multiples of 32"):
        chosen(window(8, defects=0), TwoViews("fine", blind="none"), odd)


@pytest.mark.parametrize("size_wh", [(512, 512), (560, 228), (300, 900), (8000, 1000), (640, 480)])
def test_a_frame_is_never_squashed_by_more_than_half(size_wh: tuple[int, int]) -> None:
    """But for the rounding to multiples of 32 px; the pixels are about those asked for."""
    shape = shaped_input(size_wh, 448.0 * 448.0, multiple_px=32)
    squash = (size_wh[0] / size_wh[1]) / (shape.width_px / shape.height_px)
    assert max(squash, 1 / squash) <= LARGEST_SQUASH * 1.12
    assert shape.width_px * shape.height_px == pytest.approx(448 * 448, rel=0.15)


def test_the_smallest_defect_decides_the_size() -> None:
    """0.5 mm of 100 mm on 1,600 px are 8 px of the frame: the frame is taken as it is. 2 mm: at a quarter of it."""
    embedder = TwoViews("fine", blind="none")
    sizes = [
        [geometry.width_px * geometry.height_px for geometry, _ in input_candidates((1600, 1600), embedder, settings)]
        for settings in (
            BuildSettings(field_of_view_mm=100, smallest_defect_mm=0.5),
            BuildSettings(field_of_view_mm=100, smallest_defect_mm=2),
        )
    ]
    assert sizes == [[1600 * 1600] * 2, [384 * 384] * 2]


def test_the_typical_size_is_the_median_of_what_can_be_read() -> None:
    """Broken frames do not count; of nothing readable there is no size."""
    frames = [encoded(np.zeros((height, 40, 3), np.uint8)) for height in (10, 20, 90)]
    assert typical_size([*frames, b"broken"]) == (40, 20)
    with pytest.raises(TooFewFrames, match="none of 1 frames can be read"):
        typical_size([b"broken"])


@pytest.mark.slow
def test_a_build_says_what_it_sees_of_planted_defects() -> None:
    """The bank of plain pictures finds large ones and has a smallest one; without plants it says nothing."""
    from softpatch.building.build import build_bank  # noqa: PLC0415 - this one test builds

    frames = [encoded(picture(number)) for number in range(40)]
    settings = AUTO.model_copy(update={"geometry": Geometry(height_px=64, width_px=64), "detection_plants": 200})

    def curve(plants: int):  # noqa: ANN202 - a curve or nothing
        asked = settings.model_copy(update={"detection_plants": plants})
        names = [str(number) for number in range(len(frames))]
        bank = build_bank(frames, MeanColours(), asked, view="a/b", frame_names=names, created_at="now", threads=2)
        return bank.manifest.detection

    found = curve(200)
    assert found is not None
    assert found.planted == 200
    assert 0 < found.found < 200
    assert found.slope > 0
    assert curve(0) is None
