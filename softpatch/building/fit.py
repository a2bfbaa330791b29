"""From the embeddings of a window to a bank without its calibration: denoise, subsample, weigh."""

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from softpatch.building.denoise import NoiseMask, denoise
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fitted_bank import FittedBank, fitted_bank
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.subsample import Subsample, subsample
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class Fit:
    """A bank and what it was made from, which cross-fitting needs."""

    bank: FittedBank
    mask: NoiseMask
    sample: Subsample
    settings: BuildSettings


def fit(
    embeddings: EmbeddingBuffer, settings: BuildSettings, pool: Executor, *, progress: BuildProgress = silent
) -> Fit:
    """The one way from embeddings to a bank: every build and every evaluated method that has a bank takes it."""
    mask = denoise(embeddings, settings, partial(progress, "denoise"))
    sample = subsample(embeddings, mask, settings, pool, partial(progress, "subsample"))
    return Fit(fitted_bank(sample.patches, sample.trusted_patches, mask, settings), mask, sample, settings)
