"""Which input size and which features a view is looked at with, where nobody says: tried on its own frames.

Small defects want a fine grid, large ones a wide view, and no choice is best on every line. So each candidate learns a
sample of the window, and the same defects are planted into frames it has not learnt. The widest features, the best on
most lines, are taken unless others see clearly more.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.frame_reading import WHOLE_FRAMES, FrameReading
from softpatch.building.input_candidates import input_candidates, typical_size
from softpatch.building.input_cost import AFFORDED_RATIO, Pace, frame_seconds
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.trial_bank import TrialScores, thresholds, trial_scores
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.manifest import InputChoice, InputCost, InputTrial
from softpatch.network.embed import Embedder
from softpatch.settings import BuildSettings

TRIAL_FRAMES = 120
FEWEST_TRIAL_FRAMES = 60
"""A shorter window is looked at by the widest features, and soon has its first bank: 40 frames of parts that lie about
freely told no difference, since too many poses were new to every bank."""

FALSE_REJECT_RATIOS = (0.05, 0.02, 0.01)
"""Each gives a limit as a bank's own threshold is found. Such a limit lies among the defects of the sample, which score
the more the better features are: so features can lose by what they found."""

QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Of the sample's scores, as other limits: a few defects hardly move most of them."""

CLEARLY = 2.0
"""Standard errors by which others must see more than the widest, by either kind of limit. They include those of the
limits, the larger part. `medium` sees more by 2.9 at least in every window of screws, where it is better, and by 1.5 at
most in those of impellers and tiles, which want the widest."""

_REDRAWN = 40
"""A threshold takes some 10 ms to find."""

HALVINGS = 3
"""How often the pixels of an input are halved, at most, until the machine can afford it."""


class InputDoesNotFit(ValueError):
    """The settings want an input that the network cannot take."""


@dataclass(frozen=True)
class ChosenInput:
    """What a window is built with; `choice` is None where the settings said it."""

    geometry: FrameGeometry
    features: str
    choice: InputChoice | None = None


def choose_input(
    frames: Sequence[bytes],
    embedder: Embedder,
    settings: BuildSettings,
    *,
    reading: FrameReading = WHOLE_FRAMES,
    earlier: InputChoice | None,
    pace: Pace | None = None,
    max_pixels: int,
    make_search: SearchMaker,
    pool: Executor,
    progress: BuildProgress = silent,
) -> ChosenInput:
    """By the settings where they say, and by trial on `FEWEST_TRIAL_FRAMES` to `TRIAL_FRAMES` of these otherwise.

    An earlier choice stands where it was made on as many frames and is still among the candidates, at any number of
    pixels: another input makes other scores, and a line should not see its scores change with every build.
    `pace` is how the view was seen to send; the settings' own frames per second go before its. Without it nothing is
    measured, and the same frames give the same choice on every machine.

    Raises:
        TooFewFrames: fewer usable frames than `settings.fewest_frames`.
        UnknownFeatures: the settings name features that the network does not have.
        InputDoesNotFit: the sides of the settings' geometry are no multiples of what the network takes.
    """
    if settings.geometry is not None:
        return _as_settings_say(settings.geometry, embedder, settings, reading)
    sample = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(TRIAL_FRAMES, len(frames)))]
    size_wh = typical_size(sample)
    if earlier is not None and earlier.frames >= TRIAL_FRAMES:
        best = earlier.trials[0]
        if (best.geometry, best.features) in _at_any_size(size_wh, embedder, settings):
            return ChosenInput(reading.of(best.geometry), best.features, earlier)
    cost = None
    if pace is not None and (rate := settings.frames_per_second or pace.frames_per_second):
        pace = Pace(rate, pace.clock)
        cost = _affordable(sample, size_wh, embedder, settings, pace, max_pixels=max_pixels, make_search=make_search)
        settings = settings.model_copy(update={"most_input_px": cost.most_input_px})
    candidates = input_candidates(size_wh, embedder, settings)
    if len(candidates) == 1 or len(sample) < FEWEST_TRIAL_FRAMES:
        geometry, features = candidates[-1]
        return ChosenInput(reading.of(geometry), features)
    tried = []
    for number, (geometry, features) in enumerate(candidates):
        progress("choose", number, len(candidates))
        trial = embedder.with_features(features), reading.of(geometry), settings
        tried.append(trial_scores(sample, *trial, max_pixels=max_pixels, make_search=make_search, pool=pool))
    progress("choose", len(candidates), len(candidates))
    seen = [_seen_ratio(each.plants, _thresholds(each.frames)) for each in tried]
    order = _best_first(tried, seen, seed=settings.seed)
    geometry, features = candidates[order[0]]
    trials = [InputTrial(geometry=candidates[i][0], features=candidates[i][1], seen_ratio=seen[i]) for i in order]
    return ChosenInput(reading.of(geometry), features, InputChoice(frames=len(sample), trials=trials, cost=cost))


def _best_first(tried: Sequence[TrialScores], seen: Sequence[float], *, seed: int) -> list[int]:
    """Of the candidates, the last of which is the widest: the one to take, then the others by what they see."""
    widest = len(tried) - 1
    others = sorted(range(widest), key=lambda i: -seen[i])
    clear = [i for i in others if _sees_clearly_more(tried[i], tried[widest], seed=seed)]
    first = clear[0] if clear else widest
    return [first, *(i for i in sorted(range(len(tried)), key=lambda i: -seen[i]) if i != first)]


_Limits = Callable[[Float32[np.ndarray, "frames"]], Sequence[float]]


def _sees_clearly_more(one: TrialScores, other: TrialScores, *, seed: int) -> bool:
    """By either kind of limit, where frames and planted defects are drawn again, the same ones for both candidates."""
    rng = np.random.default_rng((seed, 37))
    frames, plants = len(one.frames), len(one.plants)
    redrawn = [(rng.integers(0, frames, frames), rng.integers(0, plants, plants)) for _ in range(_REDRAWN)]
    for limits in (_quantiles, _thresholds):
        errors = np.std([_gain(one, other, *rows, limits) for rows in redrawn])
        if _gain(one, other, np.arange(frames), np.arange(plants), limits) > CLEARLY * errors:
            return True
    return False


def _gain(
    one: TrialScores,
    other: TrialScores,
    frames: Int64[np.ndarray, "frames"],
    plants: Int64[np.ndarray, "plants"],
    limits: _Limits,
) -> float:
    """How much larger a share of these planted defects the one sees."""
    ratios = [_seen_ratio(each.plants[plants], limits(each.frames[frames])) for each in (one, other)]
    return ratios[0] - ratios[1]


def _quantiles(frames: Float32[np.ndarray, "frames"]) -> list[float]:
    return list(np.quantile(frames, QUANTILES).tolist())


def _thresholds(frames: Float32[np.ndarray, "frames"]) -> list[float]:
    return thresholds(frames, FALSE_REJECT_RATIOS)


def _seen_ratio(plants: Float32[np.ndarray, "plants"], limits: Sequence[float]) -> float:
    """The share of planted defects that score above a limit, in the mean over the limits."""
    return float(np.mean([plants > limit for limit in limits]))


def _as_settings_say(
    geometry: Geometry, embedder: Embedder, settings: BuildSettings, reading: FrameReading
) -> ChosenInput:
    multiple_px = embedder.input_multiple_px
    if geometry.height_px % multiple_px or geometry.width_px % multiple_px:
        raise InputDoesNotFit(
            f"build.geometry is {geometry.width_px} x {geometry.height_px} px, "
            f"and this network takes sides that are multiples of {multiple_px}"
        )
    features = settings.features if settings.features != "auto" else next(iter(embedder.feature_sets))
    return ChosenInput(reading.of(geometry), embedder.with_features(features).features)


def _affordable(
    sample: Sequence[bytes],
    size_wh: tuple[int, int],
    embedder: Embedder,
    settings: BuildSettings,
    pace: Pace,
    *,
    max_pixels: int,
    make_search: SearchMaker,
) -> InputCost:
    """The most pixels at which the widest features leave two thirds of the time between two frames, by halving.

    Where the smallest defect decides the size, that is kept, and its cost is said.
    """
    rate = pace.frames_per_second or 0.0
    for halvings in range(1 if settings.smallest_defect_mm is not None else HALVINGS + 1):
        pixels = settings.most_input_px >> halvings
        at = settings.model_copy(update={"most_input_px": pixels})
        geometry, features = input_candidates(size_wh, embedder, at)[-1]
        seconds = frame_seconds(
            sample,
            embedder.with_features(features),
            geometry,
            settings,
            clock=pace.clock,
            max_pixels=max_pixels,
            make_search=make_search,
        )
        if seconds * rate <= AFFORDED_RATIO:
            break
    return InputCost(frames_per_second=rate, frame_seconds=seconds, most_input_px=pixels)


def _at_any_size(size_wh: tuple[int, int], embedder: Embedder, settings: BuildSettings) -> list[tuple[Geometry, str]]:
    sizes = [settings.most_input_px >> halvings for halvings in range(HALVINGS + 1)]
    allowed = [settings.model_copy(update={"most_input_px": pixels}) for pixels in sizes]
    return [each for at in allowed for each in input_candidates(size_wh, embedder, at)]
