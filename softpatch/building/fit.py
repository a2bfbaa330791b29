"""From the embeddings of a window to a bank without its calibration: denoise, label, subsample, weigh."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

from softpatch.building.denoise import NoiseMask, denoise
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fitted_bank import FittedBank, fitted_bank
from softpatch.building.label_window import KnownLabels, WindowLabels, label_window
from softpatch.building.patch_metric import patch_metric
from softpatch.building.patches import Patches
from softpatch.building.progress import BuildProgress, StageProgress, silent
from softpatch.building.projection import ProjectedGroups, projected_groups
from softpatch.building.replacements import Replacements, draw_replacements
from softpatch.building.second_frames import ByBlock
from softpatch.building.subsample import subsample
from softpatch.building.turned_window import TurnedWindow, turned_window
from softpatch.building.upright_frames import UprightFrames
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class Fit:
    """A bank, and what cross-fitting needs: its coresets, and per block of time what replaces their patches of it."""

    bank: FittedBank
    mask: NoiseMask
    labels: WindowLabels
    coresets: tuple[Patches, ...]
    second_frames: tuple[ByBlock, ...]
    blocks: Sequence[range]
    replacements: Sequence[Replacements]
    settings: BuildSettings


UprightReading = Callable[[], UprightFrames | None]


def nothing_upright() -> None:
    """The frames themselves are not at hand, only their embeddings."""


def fit(
    embeddings: EmbeddingBuffer,
    settings: BuildSettings,
    pool: Executor,
    *,
    known: KnownLabels | None = None,
    blocks: Sequence[range] = (),
    upright: UprightReading = nothing_upright,
    progress: BuildProgress = silent,
) -> Fit:
    """The one way from embeddings to a bank: every build and every evaluated method that has a bank takes it.

    `blocks` are those that cross-fitting will leave out; a bank that is not calibrated needs none. `upright` reads the
    same frames, labelled ones included, with all parts turned alike: it is called where they lie turned.
    """
    known = known or KnownLabels(len(embeddings))
    projected, denoised = _denoised(
        embeddings, settings, window_frames=known.window_frames, progress=partial(progress, "denoise")
    )
    turned = _turned(upright, settings, known.window_frames) if _lie_turned(denoised, settings) else None
    labels = label_window(projected, denoised, settings, known, turned)
    mask = replace(denoised, labels=labels.patches)
    step = partial(progress, "subsample")
    drawn = subsample(projected, mask, settings, pool, step, blocks=blocks)
    replacements = draw_replacements(blocks, embeddings, mask, drawn, settings=settings, pool=pool, progress=step)
    coresets = tuple(coreset.patches for coreset in drawn)
    bank = fitted_bank([[patches] for patches in coresets], mask, settings)
    second = tuple(coreset.second_frames for coreset in drawn)
    return Fit(bank, mask, labels, coresets, second, blocks, replacements, settings)


def _denoised(
    embeddings: EmbeddingBuffer, settings: BuildSettings, *, window_frames: int, progress: StageProgress
) -> tuple[ProjectedGroups, NoiseMask]:
    """Denoised by the embeddings as they are and, where parts lie turned, once more by the window's own metric."""
    projected = projected_groups(embeddings, settings)
    mask = denoise(projected, settings, progress)
    metric = None
    if _lie_turned(mask, settings):
        metric = patch_metric(embeddings, frames=window_frames, seed=settings.seed)
    if metric is None:
        return projected, mask
    projected = projected_groups(embeddings, settings, metric)
    return projected, replace(denoise(projected, settings, progress), aligned=False, metric=metric)


def _lie_turned(mask: NoiseMask, settings: BuildSettings) -> bool:
    """Only where whole frames are removed by distances has anybody looked how parts lie."""
    return not mask.aligned and settings.removal == "frames" and settings.discriminator == "expected-nearest"


def _turned(upright: UprightReading, settings: BuildSettings, window_frames: int) -> TurnedWindow | None:
    read = upright()
    return None if read is None else turned_window(read, settings, window_frames=window_frames)
