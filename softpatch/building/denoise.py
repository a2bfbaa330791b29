"""Which patches of a window a bank may trust: the paper's rule, and ours, which asks about whole frames first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.frame_groups import interleaved_groups
from softpatch.building.noise_floor import noise_floor
from softpatch.building.projection import project, projection_matrix
from softpatch.calibration.extreme_value import noise_share
from softpatch.discriminators import DISCRIMINATORS
from softpatch.settings import BuildSettings, DiscriminatorName

StageProgress = Callable[[int, int], None]

ALIGNED_RATIO = 0.45
"""Parts stand alike in every frame where the likeness ratio is above this: measured 0.29 to 0.32 on turned screws,
0.56 to 0.66 on three aligned lines."""

ALIGNED_SIGMAS, UNALIGNED_SIGMAS = 1.5, 5.0
"""How far above the median a frame's log suspicion must lie for the frame to be rejected: a rare pose is suspicious
too, so where parts lie about freely only what no pose explains is rejected, and witnesses have to do the rest."""

DISTANCES: frozenset[DiscriminatorName] = frozenset({"expected-nearest", "nearest"})
"""Whose factors are L2 distances, so that a likeness ratio means something."""

LEAST_SIGMA = 0.05
"""Of log suspicion; measured 0.10 to 0.24. Below it, a window of near copies would drop whatever is not one of them."""

OUTLIER_RATIO, AUTO_FACTOR = 0.15, 1.5
"""SoftPatch's own share of patches, and how many times its own noise that is."""

MOST_FRAMES_RATIO = 0.4
"""Frames are dropped up to here, the most suspicious first: beyond it nobody can say which part is the good one."""

_NORMAL_QUARTILE = 0.6745


@dataclass(frozen=True)
class NoiseMask:
    """Every patch of the window, judged: its outlier factor, and whether a bank may trust it."""

    factors: Float32[np.ndarray, "n p q"]
    keep: Bool[np.ndarray, "n p q"]
    noise_floor: float

    @property
    def median_kept(self) -> float:
        """The factor of an ordinary kept patch."""
        return float(np.median(self.factors[self.keep]))


def denoise(embeddings: EmbeddingBuffer, frames: int, settings: BuildSettings, progress: StageProgress) -> NoiseMask:
    """Discriminate the window group by group, then cut once over all groups: only factors outlive their group.

    The noise floor and the likeness ratio are measured on the first group: groups interleave, so each looks like the
    whole window. Without a likeness ratio, parts count as unaligned: less is dropped, and nothing by `none`.
    """
    groups = interleaved_groups(range(frames), settings.group_frames)
    if not groups:
        raise ValueError("a window of no frames cannot be judged")
    first = _projected(embeddings, groups[0], settings)
    floor = noise_floor(first) if settings.noise_floor else 0.0
    factors = _factors(settings.discriminator, embeddings, groups, settings, floor=floor, progress=progress)
    if settings.removal == "patches":
        return NoiseMask(factors, keep_mask(factors, outlier_ratio(factors, settings)), floor)
    if settings.discriminator not in DISTANCES or alignment_ratio(first, factors[:: len(groups)]) <= ALIGNED_RATIO:
        bad = np.broadcast_to(suspicious_frames(factors, sigmas=UNALIGNED_SIGMAS)[:, None, None], factors.shape)
        return NoiseMask(factors, ~bad, floor)
    lof = _factors("lof", embeddings, groups, settings, floor=floor, progress=progress)
    bad = suspicious_frames(factors, sigmas=ALIGNED_SIGMAS)[:, None, None] | clustered_outliers(
        factors, lof, outlier_ratio(factors, settings)
    )
    return NoiseMask(factors, ~bad, floor)


def _projected(embeddings: EmbeddingBuffer, group: range, settings: BuildSettings) -> Float32[np.ndarray, "m p q k"]:
    full = embeddings.take(group)
    return project(full, projection_matrix(full.shape[-1], settings.projection_dims, seed=settings.seed))


def _factors(
    name: DiscriminatorName,
    embeddings: EmbeddingBuffer,
    groups: Sequence[range],
    settings: BuildSettings,
    *,
    floor: float,
    progress: StageProgress,
) -> Float32[np.ndarray, "n p q"]:
    """One discriminator's factors of the whole window, a group in memory at a time."""
    discriminator = DISCRIMINATORS[name](settings)
    found = []
    for group in groups:
        found.append(discriminator.factors(_projected(embeddings, group, settings), noise_floor=floor))
        progress(len(found), len(groups))
    factors = np.empty((sum(len(each) for each in found), *found[0].shape[1:]), np.float32)
    for group, its_factors in zip(groups, found, strict=True):
        factors[group.start : group.stop : group.step] = its_factors
    return factors


def keep_mask(factors: Float32[np.ndarray, "n p q"], noise_ratio: float) -> Bool[np.ndarray, "n p q"]:
    """SoftPatch's rule: drops the worst `noise_ratio` of all patches of the window, wherever they are.

    Patches that tie with the last kept one are kept: equal factors are no evidence between them, and "none" drops none.
    """
    kept = factors.size - int(factors.size * noise_ratio)
    limit = np.partition(factors, kept - 1, axis=None)[kept - 1]
    return factors <= limit  # type: ignore[no-any-return]


def outlier_ratio(factors: Float32[np.ndarray, "n p q"], settings: BuildSettings) -> float:
    """The share of patches that are noise, or odd where frames decide: as set, or from the factors themselves.

    `auto` estimates the share of defective frames as that which no law of good ones explains, by frames' worst
    factors (softpatch/calibration/extreme_value.py), and drops half as much again of the
    patches: 15 % at 10 % defective frames, as published.
    """
    if settings.noise_ratio != "auto":
        return settings.noise_ratio
    if settings.removal == "frames":
        return OUTLIER_RATIO
    return AUTO_FACTOR * noise_share(factors.reshape(len(factors), -1).max(axis=1))


def suspicious_frames(factors: Float32[np.ndarray, "n p q"], *, sigmas: float) -> Bool[np.ndarray, "n"]:
    """Our rule: the frames whose worst patch stands out, whole. How many is for the window itself to say.

    A frame's suspicion is the log of its worst factor. Its scale is taken from the lower quartile, where no defect is.
    A frame with one visible defect is often bad in places that are less visible, so all of it goes.
    """
    suspicion = np.log(np.maximum(factors.reshape(len(factors), -1).max(axis=1), np.finfo(np.float32).tiny))
    median, quartile = np.quantile(suspicion, [0.5, 0.25])
    limit = median + sigmas * max((median - quartile) / _NORMAL_QUARTILE, LEAST_SIGMA)
    most = np.quantile(suspicion, 1 - MOST_FRAMES_RATIO, method="higher")
    return suspicion > max(limit, most)  # type: ignore[no-any-return]


def clustered_outliers(
    factors: Float32[np.ndarray, "n p q"], lof: Float32[np.ndarray, "n p q"], noise_ratio: float
) -> Bool[np.ndarray, "n p q"]:
    """The worst `noise_ratio` of all patches by either of two factors, in frames that hold more than their share.

    The first counts against its position's own median, by its square root: half way between trusting every position
    alike and making every position lose as much. A good frame has its odd patch; a defective one has a crowd.
    """
    relative = factors / np.sqrt(np.maximum(np.median(factors, axis=0), np.finfo(np.float32).tiny))
    worst = ~keep_mask(relative.astype(np.float32), noise_ratio) | ~keep_mask(lof, noise_ratio)
    share = worst.mean(axis=(1, 2), keepdims=True)
    return worst & (share > share.mean())  # type: ignore[no-any-return]


def alignment_ratio(projected: Float32[np.ndarray, "n p q d"], factors: Float32[np.ndarray, "n p q"]) -> float:
    """How far the loneliest patches are from their like, against how far from another frame's patch at their position.

    Of the 15 % of patches with the largest factors, which must be L2 distances; the median. Near 1 where every frame
    shows the same things at the same places, so that searching for the like finds nothing nearer than chance; low where
    parts are turned and shifted, so that a frame taken at random shows something else altogether.
    """
    half = (np.arange(len(projected)) + len(projected) // 2) % len(projected)
    lonely = factors >= np.quantile(factors, 0.85)
    distance = np.linalg.norm(projected[lonely] - projected[half][lonely], axis=1)
    apart = distance > 0
    return float(np.median(factors[lonely][apart] / distance[apart])) if apart.any() else 1.0
