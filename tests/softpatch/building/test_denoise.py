"""Which frames and patches are dropped: ours, on windows whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from softpatch.building.alignment import ALIGNED_RATIO, alignment_ratio
from softpatch.building.denoise import NoiseMask, denoise
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.outlier_ratio import outlier_ratio
from softpatch.building.projection import projected_groups
from softpatch.building.rejection import clustered_outliers, keep_mask, suspicious_frames
from softpatch.discriminators import ExpectedNearest
from softpatch.settings import BuildSettings


def denoised(frames: np.ndarray, settings: BuildSettings) -> NoiseMask:
    """The noise mask of a window of those embeddings."""
    embeddings = MemoryBuffer(len(frames), frames.shape[1:])
    embeddings.append(frames)
    return denoise(projected_groups(embeddings, settings), settings, lambda _done, _total: None)


def aligned_line(frames: int, seed: int) -> np.ndarray:
    """Every position has a mean of its own, every frame its own small variation."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(6, 6, 16)) * 3
    return (mean + rng.normal(size=(frames, 6, 6, 16))).astype(np.float32)


def turned_line(frames: int, seed: int) -> np.ndarray:
    """Every frame shows one texture, shifted: a similar patch exists, but hardly ever at the same position."""
    rng = np.random.default_rng(seed)
    texture = rng.normal(size=(9, 9, 16)) * 3
    starts = rng.integers(0, 4, size=(frames, 2))
    shown = np.stack([texture[r : r + 6, q : q + 6] for r, q in starts])
    return (shown + rng.normal(size=shown.shape) * 0.3).astype(np.float32)


def test_the_frames_that_stand_out_are_dropped_however_many() -> None:
    """Log-normal suspicion with a tenth of the frames far above: those go, and few others."""
    rng = np.random.default_rng(0)
    factors = np.exp(rng.normal(0, 0.1, size=(200, 3, 3))).astype(np.float32)
    defective = np.arange(200) % 10 == 0
    factors[defective, 1, 1] *= 4
    dropped = suspicious_frames(factors, sigmas=2.5)
    assert dropped[defective].all()
    assert dropped[~defective].mean() < 0.05


def test_a_window_of_near_copies_keeps_its_frames() -> None:
    """Differences of a per cent are no evidence, though the window's own scale is smaller still."""
    factors = np.ones((60, 2, 2), np.float32)
    factors[:20] = 1.05
    assert not suspicious_frames(factors, sigmas=1.5).any()


def test_at_most_two_fifths_of_a_window_are_rejected() -> None:
    """55 frames alike and 45 that stand out: the most suspicious of those go, up to two fifths of the window."""
    factors = np.ones((100, 1, 1), np.float32)
    factors[55:, 0, 0] = np.linspace(50, 500, 45)
    rejected = suspicious_frames(factors, sigmas=1.0)
    np.testing.assert_array_equal(np.flatnonzero(rejected), np.arange(61, 100))


def test_a_cluster_of_outliers_is_rejected_and_a_single_one_is_not() -> None:
    """The worst tenth of all patches: 30 in one frame, one each in others; only the 30 go."""
    factors = np.ones((40, 10, 10), np.float32)
    factors[7, :3] = 5
    factors[np.arange(10, 40), 5, 5] = 4
    bad = clustered_outliers(factors, np.ones_like(factors), 0.1)
    assert bad[7, :3].all()
    assert bad.sum() == 30


def test_a_position_is_compared_with_its_own_variation() -> None:
    """Factors that are large in every frame at a position are no outliers; a smaller one at a quiet position is."""
    factors = np.ones((50, 2, 2), np.float32)
    factors[:, 0, 0] = 3
    factors[3, 1, 1] = 2.5
    worst = clustered_outliers(factors, np.ones_like(factors), 0.005)
    assert worst[3, 1, 1]
    assert worst.sum() == 1


@pytest.mark.parametrize("seed", range(3))
def test_aligned_and_turned_lines_are_told_apart(seed: int) -> None:
    """By the alignment ratio."""
    ratios = [
        alignment_ratio(line, ExpectedNearest().factors(line, noise_floor=0.0))
        for line in (aligned_line(60, seed), turned_line(60, seed))
    ]
    assert ratios[0] > ALIGNED_RATIO > ratios[1]


def test_defective_frames_of_both_kinds_of_line_lose_their_patches() -> None:
    """One frame in ten has a block of defective patches: hardly one of those is kept, most others are."""
    for line in (aligned_line, turned_line):
        frames = line(80, 5)
        defective = np.zeros((80, 6, 6), bool)
        defective[::10, 2:4, 2:4] = True
        frames[defective] += np.random.default_rng(1).normal(size=(defective.sum(), 16)) * 8
        keep = denoised(frames, BuildSettings()).keep
        assert keep[defective].mean() < 0.05
        assert keep[~defective].mean() > 0.75


@pytest.mark.parametrize("scale", [0.01, 1, 100])
def test_without_discrimination_nothing_is_dropped(scale: float) -> None:
    """`none` trusts every patch, in whatever units a network's embeddings come: ones are no distances."""
    assert denoised(aligned_line(40, 0) * np.float32(scale), BuildSettings(discriminator="none")).keep.all()


def test_the_papers_rule_drops_its_share_and_nothing_else() -> None:
    """With removal set to patches, the mask is that of the factors, at any noise ratio."""
    mask = denoised(aligned_line(40, 0), BuildSettings(removal="patches", discriminator="lof"))
    np.testing.assert_array_equal(mask.keep, keep_mask(mask.factors, 0.15))


@pytest.mark.parametrize("frames", [150, 600])
@pytest.mark.parametrize("defective_ratio", [0.0, 0.1, 0.25])
def test_auto_drops_half_again_the_share_of_frames_that_stand_out(defective_ratio: float, frames: int) -> None:
    """Worst factors of good frames follow an extreme value distribution; defective frames lie far above it."""
    rng = np.random.default_rng(2)
    factors = np.exp(rng.gumbel(0, 0.1, size=(frames, 2, 2))).astype(np.float32)
    defective = np.arange(frames) < defective_ratio * frames
    factors[defective, 0, 0] *= 3 * rng.uniform(1, 2, defective.sum())
    auto = BuildSettings(removal="patches", noise_ratio="auto")
    assert outlier_ratio(factors, auto) == pytest.approx(1.5 * defective_ratio, abs=0.09)


def test_a_set_noise_ratio_is_taken_and_auto_is_the_papers_share_where_frames_decide() -> None:
    """Neither depends on the factors."""
    factors = np.ones((20, 2, 2), np.float32)
    assert outlier_ratio(factors, BuildSettings(removal="patches", noise_ratio=0.3)) == 0.3
    assert outlier_ratio(factors, BuildSettings(noise_ratio="auto")) == 0.15
