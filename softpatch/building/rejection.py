"""Which patches of a window are rejected as noise, by the paper's rule or by ours, which rejects whole frames."""

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.outlier_factors import OutlierFactors
from softpatch.settings import BuildSettings

ALIGNED_SIGMAS, UNALIGNED_SIGMAS = 1.5, 5.0
"""How far above the median a frame's log suspicion must lie for the frame to be rejected. A rare pose is suspicious
too: where parts are not aligned only what no pose explains is rejected, and second-frame neighbours do the rest."""

LEAST_SIGMA = 0.05
"""Of log suspicion; measured 0.10 to 0.24. With less, a window of near copies would lose every frame that is none."""

MOST_FRAMES_RATIO = 0.4
"""At most this share of frames is rejected, the most suspicious first: beyond it the good ones are unknown."""

NORMAL_QUARTILE = 0.6745
"""Standard deviations from the median of a normal distribution to its quartiles."""
_TINY = np.finfo(np.float32).tiny


def rejected_patches(measured: OutlierFactors, ratio: float, settings: BuildSettings) -> Bool[np.ndarray, "n p q"]:
    """Which patches are noise, where `ratio` of all patches count as outliers.

    Without LOF's factors parts count as unaligned: fewer frames are rejected, and none without discrimination.
    """
    factors = measured.factors
    if settings.removal == "patches":
        return np.asarray(~keep_mask(factors, ratio))
    if measured.lof is None:
        frames = suspicious_frames(factors, sigmas=UNALIGNED_SIGMAS)
        return np.broadcast_to(frames[:, None, None], factors.shape)
    frames = suspicious_frames(factors, sigmas=ALIGNED_SIGMAS)
    return np.asarray(frames[:, None, None] | clustered_outliers(factors, measured.lof, ratio))


def keep_mask(factors: Float32[np.ndarray, "n p q"], noise_ratio: float) -> Bool[np.ndarray, "n p q"]:
    """SoftPatch's rule: drop the worst `noise_ratio` of all patches of the window, wherever they are.

    Patches that tie with the last kept one are kept: equal factors are no evidence between them, and `none` drops none.
    """
    kept = factors.size - int(factors.size * noise_ratio)
    limit = np.partition(factors, kept - 1, axis=None)[kept - 1]
    return factors <= limit  # type: ignore[no-any-return]


def suspicious_frames(factors: Float32[np.ndarray, "n p q"], *, sigmas: float) -> Bool[np.ndarray, "n"]:
    """Our rule: frames whose worst patch stands out, whole. Their number follows from the window.

    A frame's suspicion is the log of its worst factor. Its scale is taken from the lower quartile, which defects do not
    move. The whole frame goes, because a visible defect often has less visible surroundings.
    """
    suspicion = np.log(np.maximum(factors.reshape(len(factors), -1).max(axis=1), _TINY))
    median, quartile = np.quantile(suspicion, [0.5, 0.25])
    limit = median + sigmas * max((median - quartile) / NORMAL_QUARTILE, LEAST_SIGMA)
    most = np.quantile(suspicion, 1 - MOST_FRAMES_RATIO, method="higher")
    return suspicion > max(limit, most)  # type: ignore[no-any-return]


def clustered_outliers(
    factors: Float32[np.ndarray, "n p q"], lof: Float32[np.ndarray, "n p q"], noise_ratio: float
) -> Bool[np.ndarray, "n p q"]:
    """The worst `noise_ratio` of all patches by either of two factors, in frames that hold more than their share.

    The first factor is divided by the root of its position's median: half way between trusting every position alike and
    rejecting as many patches of each. A good frame has single outliers; a defective one has a cluster of them.
    """
    relative = factors / np.sqrt(np.maximum(np.median(factors, axis=0), _TINY))
    worst = ~keep_mask(relative.astype(np.float32), noise_ratio) | ~keep_mask(lof, noise_ratio)
    share = worst.mean(axis=(1, 2), keepdims=True)
    return worst & (share > share.mean())  # type: ignore[no-any-return]
