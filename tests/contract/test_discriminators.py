"""One battery for every noise discriminator: it runs on whatever the registry lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32

from softpatch.building.frame_groups import interleaved_groups
from softpatch.building.noise_floor import noise_floor
from softpatch.building.rejection import keep_mask
from softpatch.discriminators import DISCRIMINATORS, Discriminator
from softpatch.settings import BuildSettings, DiscriminatorName

EVERY = sorted(DISCRIMINATORS)
DISCRIMINATING = [name for name in EVERY if name != "none"]  # with "none" nothing stands out, by definition
few = settings(max_examples=15, deadline=None)


def discriminator(name: DiscriminatorName) -> Discriminator:
    """The discriminator as a build makes it."""
    return DISCRIMINATORS[name](BuildSettings())


def line(frames: int, *, seed: int, grid: tuple[int, int] = (3, 4), dims: int = 16) -> Float32[np.ndarray, "n p q d"]:
    """Frames of one product: every position has a mean of its own, every frame its own small variation."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(*grid, dims)) * 5
    return (mean + rng.normal(size=(frames, *grid, dims))).astype(np.float32)


def judged(name: DiscriminatorName, frames: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n p q"]:
    """Factors under the frames' own noise floor."""
    return discriminator(name).factors(frames, noise_floor=noise_floor(frames))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@few
@given(seed=st.integers(0, 2**16), frames=st.integers(2, 40))
def test_permuting_frames_permutes_factors(name: DiscriminatorName, seed: int, frames: int) -> None:
    """The order of frames says nothing."""
    embeddings = line(frames, seed=seed)
    order = np.random.default_rng(seed).permutation(frames)
    np.testing.assert_allclose(judged(name, embeddings)[order], judged(name, embeddings[order]), rtol=2e-4)


@pytest.mark.parametrize("name", DISCRIMINATING)
@few
@given(seed=st.integers(0, 2**16), row=st.integers(0, 2), column=st.integers(0, 3))
def test_a_far_outlier_has_the_largest_factor(name: DiscriminatorName, seed: int, row: int, column: int) -> None:
    """One patch unlike everything stands out from all other patches of all positions."""
    embeddings = line(40, seed=seed)
    embeddings[7, row, column] += 40
    assert np.unravel_index(judged(name, embeddings).argmax(), (40, 3, 4)) == (7, row, column)


@pytest.mark.parametrize("name", EVERY)
def test_identical_frames_do_not_push_good_patches_out(name: DiscriminatorName) -> None:
    """10 copies among 60 frames: factors are finite, the defects still rank worst, and good patches stay."""
    embeddings = line(60, seed=1)
    embeddings[10:20] = embeddings[10]
    embeddings[[3, 30, 50], 1, 2] += np.random.default_rng(2).normal(size=(3, 16)).astype(np.float32) * 6
    defects = np.zeros((60, 3, 4), bool)
    defects[[3, 30, 50], 1, 2] = True
    factors = judged(name, embeddings)
    assert np.isfinite(factors).all()
    if name in DISCRIMINATING:
        assert factors[defects].min() > np.quantile(factors[~defects], 0.99)
    kept = keep_mask(factors, 0.05)
    assert kept[~defects].mean() >= 0.95


@pytest.mark.parametrize("name", EVERY)
def test_a_static_background_gives_finite_factors_and_stays(name: DiscriminatorName) -> None:
    """Half the grid bit-identical in every frame: no 0/0, and the background is not what is dropped."""
    embeddings = line(60, seed=3)
    embeddings[:, :, :2] = embeddings[0, :, :2]
    factors = judged(name, embeddings)
    assert np.isfinite(factors).all()
    assert keep_mask(factors, 0.15)[:, :, :2].all()


@pytest.mark.parametrize("name", EVERY)
def test_an_all_black_frame_does_not_push_good_patches_out(name: DiscriminatorName) -> None:
    """One frame of zeros among 60: finite factors, and (where anything is told apart) it is what goes first."""
    embeddings = line(60, seed=4)
    embeddings[13] = 0
    factors = judged(name, embeddings)
    assert np.isfinite(factors).all()
    if name in DISCRIMINATING:
        kept = keep_mask(factors, 1 / 60)
        assert not kept[13].any()
        assert np.delete(kept, 13, axis=0).all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_few_frames_give_finite_factors(name: DiscriminatorName, frames: int) -> None:
    """One frame alone has nothing to be compared with, which is no reason to fail."""
    factors = judged(name, line(frames, seed=5))
    assert factors.shape == (frames, 3, 4)
    assert np.isfinite(factors).all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("frames", [1, 60])
def test_frames_that_are_all_the_same_give_equal_finite_factors(name: DiscriminatorName, frames: int) -> None:
    """A stopped line: nothing stands out."""
    factors = judged(name, np.repeat(line(1, seed=6), frames, axis=0))
    assert np.isfinite(factors).all()
    assert keep_mask(factors, 0.15).all()


@pytest.mark.parametrize("name", EVERY)
def test_interleaved_groups_agree_with_one_group(name: DiscriminatorName) -> None:
    """Two groups of 120 drop nearly the same patches as one of 240: at least 80 % of the dropped are the same ones."""
    embeddings = line(240, seed=7, dims=8)
    rng = np.random.default_rng(8)
    spoilt = rng.random((240, 3, 4)) < 0.1
    embeddings[spoilt] += rng.normal(size=(int(spoilt.sum()), 8)).astype(np.float32) * 4
    whole, floor = judged(name, embeddings), noise_floor(embeddings)
    grouped = np.empty_like(whole)
    for group in interleaved_groups(range(240), 120):
        chosen = slice(group.start, group.stop, group.step)
        grouped[chosen] = discriminator(name).factors(embeddings[chosen], noise_floor=floor)
    one, two = ~keep_mask(whole, 0.1), ~keep_mask(grouped, 0.1)
    assert (one & two).sum() >= 0.8 * one.sum()
