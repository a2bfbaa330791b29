"""The whole build on a fake embedder: what enters the bank, its manifest, and that a build repeats."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softpatch.bank import Bank, bank_from_bytes, bank_to_bytes
from softpatch.building.build import build_bank
from softpatch.building.cross_fit import bank_without
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import fit
from softpatch.building.rejection import keep_mask
from softpatch.building.window import TooFewFrames
from softpatch.images.decode import decode
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import BruteSearch, FlatSearch
from softpatch.scoring.self_test import ProbesDisagree, run_self_test
from softpatch.settings import BuildSettings
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, encoded, names, picture, window

AT = "2026-01-01T00:00:00Z"


class Brighter(MeanColours):
    """The same graph on a provider that computes something else."""

    provider = "cuda"

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Off by a hundredth."""
        return super().embed(frames) * np.float32(1.01)


class OtherGraph(MeanColours):
    """Another graph."""

    graph_hash = "e" * 64


def bank_of(frames: list[bytes], chosen: BuildSettings = SETTINGS) -> Bank:
    """The bank of those frames."""
    return build_bank(
        frames, MeanColours(), chosen, view="line-1/cam-1", frame_names=names(frames), created_at=AT, threads=2
    )


@cache
def default_bank() -> Bank:
    """The bank of 60 frames, six of them defective."""
    return bank_of(window())


def embedded(bank: Bank, frames: list[bytes]) -> np.ndarray:
    """As inference embeds them."""
    return MeanColours().embed(np.stack([bank.manifest.geometry.apply(decode(frame)) for frame in frames]))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes() -> None:
    """Twice the same window and settings; another seed, another file."""
    once = bank_to_bytes(default_bank())
    assert bank_to_bytes(bank_of(window())) == once
    assert bank_to_bytes(bank_of(window(), SETTINGS.model_copy(update={"seed": 1}))) != once


@pytest.mark.slow
def test_a_bank_read_back_scores_the_same() -> None:
    """Save and load change no score, and FAISS and the definition agree on them."""
    bank, frames = default_bank(), [encoded(picture(900)), encoded(picture(901, defect=True))]
    read = bank_from_bytes(bank_to_bytes(bank))
    before = [one.score for one in Scorer(bank, FlatSearch(bank.vectors)).score(embedded(bank, frames))]
    after = [one.score for one in Scorer(read, FlatSearch(read.vectors)).score(embedded(read, frames))]
    brute = [one.score for one in Scorer(read, BruteSearch(read.vectors)).score(embedded(read, frames))]
    assert before == after
    assert after == pytest.approx(brute, rel=1e-4)


@pytest.mark.slow
def test_defects_in_the_window_do_not_hide_defects_after_it() -> None:
    """Fresh good frames pass, fresh defects fail, though the window held 10 % of them."""
    bank = default_bank()
    scorer = Scorer(bank, FlatSearch(bank.vectors))
    good = [encoded(picture(number)) for number in range(1000, 1020)]
    bad = [encoded(picture(number, defect=True)) for number in range(2000, 2020)]
    limit = bank.manifest.threshold.value
    assert sum(one.score > limit for one in scorer.score(embedded(bank, good))) <= 2
    assert all(one.score > limit for one in scorer.score(embedded(bank, bad)))
    assert bank.manifest.noise_estimate == pytest.approx(0.1, abs=0.08)


def test_every_patch_names_its_frame_and_position() -> None:
    """The vector of a bank patch is the embedding of its source frame at its source position."""
    bank, frames = default_bank(), window()
    embeddings = embedded(bank, frames)
    row, column = bank.source_position.T
    np.testing.assert_array_equal(bank.vectors, embeddings[bank.source_frame, row, column])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    sampler=st.sampled_from(["greedy", "random"]),
    discriminator=st.sampled_from(["expected-nearest", "lof", "gaussian", "nearest"]),
    removal=st.sampled_from(["frames", "patches"]),
    coreset_frames=st.sampled_from([7, 1024]),
    noise_ratio=st.sampled_from([0.15, 0.6]),
    untrusted_ratio=st.sampled_from([0.9, 1.0]),
)
def test_rejected_patches_are_never_trusted(
    *,
    seed: int,
    sampler: str,
    discriminator: str,
    removal: str,
    coreset_frames: int,
    noise_ratio: float,
    untrusted_ratio: float,
) -> None:
    """Whatever the settings, each trusted patch of the bank and of every calibration bank is one the mask keeps.

    Where the settings give untrusted patches no influence, no other patch enters.
    """
    chosen = BuildSettings.model_validate(
        {
            "sampler": sampler,
            "discriminator": discriminator,
            "removal": removal,
            "coreset_frames": coreset_frames,
            "noise_ratio": noise_ratio,
            "coreset_ratio": 1.0,
            "untrusted_ratio": untrusted_ratio,
        }
    )
    embeddings = MemoryBuffer(24, (2, 3, 5))
    frames = np.random.default_rng(seed).normal(size=(24, 2, 3, 5)).astype(np.float32)
    frames[::8] *= 20  # three frames far from all others: there is something to reject by every rule
    embeddings.append(frames)
    with ThreadPoolExecutor(2) as pool:
        fitted = fit(embeddings, chosen, pool, blocks=[range(8), range(8, 24)])
    banks = [fitted.bank, bank_without(0, fitted), bank_without(1, fitted)]
    keep = fitted.mask.keep
    assert not keep.all() or (removal, discriminator) == ("frames", "gaussian")  # whose factors have a bound
    for bank in banks:
        row, column = bank.patches.position.T
        trusted = keep[bank.patches.frame, row, column]
        assert trusted[: bank.trusted_patches].all()
        assert not trusted[bank.trusted_patches :].any()
    assert fitted.bank.trusted_patches == keep.sum()  # ratio 1: all of the kept
    entering = keep.size - fitted.labels.patches.excluded.sum()  # groups of the few are no part of a bank at all
    assert len(fitted.bank.patches) == (keep.sum() if untrusted_ratio == 1 else entering)


def test_untrusted_patches_share_the_banks_room() -> None:
    """A quarter of the window is rejected; the bank keeps its cap, and a fifth of it at most is untrusted."""
    embeddings = MemoryBuffer(40, (4, 4, 6))
    frames = np.random.default_rng(3).normal(size=(40, 4, 4, 6)).astype(np.float32)
    frames[::4] *= 9
    embeddings.append(frames)
    chosen = BuildSettings(coreset_cap=50, coreset_ratio=0.5)
    with ThreadPoolExecutor(1) as pool:
        fitted = fit(embeddings, chosen, pool)
    assert (~fitted.mask.keep).mean() > 0.2
    assert len(fitted.bank.patches) == 50
    assert fitted.bank.trusted_patches == 40
    assert set((fitted.bank.patches.frame[40:] % 4).tolist()) == {0}


def test_the_mask_drops_the_asked_share_of_the_whole_window() -> None:
    """The worst 15 % of all patches, wherever they are; ties at the limit stay."""
    factors = np.arange(200, dtype=np.float32).reshape(10, 4, 5)
    assert (~keep_mask(factors, 0.15)).sum() == 30
    assert keep_mask(factors, 0.15).ravel()[:170].all()
    assert keep_mask(np.ones((10, 4, 5), np.float32), 0.15).all()


def test_frames_that_cannot_be_decoded_are_left_out_and_counted() -> None:
    """Two broken frames among 30: the bank is that of the other 28, and their names are not in it."""
    frames = window(30, defects=2)
    frames[4], frames[9] = b"", frames[9][:100]
    bank = bank_of(frames)
    assert bank.manifest.skipped_frames == 2
    assert bank.manifest.frame_names == [f"frame-{number}" for number in range(30) if number not in (4, 9)]
    assert len(bank.calibration_scores) == 28


def test_too_few_frames_are_refused_with_the_number_needed() -> None:
    """Six are needed for three blocks of two."""
    frames = [*window(5, defects=1), b"no picture"]
    with pytest.raises(TooFewFrames) as caught:
        bank_of(frames)
    assert str(caught.value) == "5 of 6 frames can be decoded and a bank needs 6: send more frames"


def test_a_stopped_line_still_gives_a_bank() -> None:
    """All frames bit-identical: no patch twice, finite scores, a positive threshold."""
    bank = bank_of([encoded(picture(0))] * 12)
    assert len(np.unique(bank.vectors, axis=0)) == len(bank.vectors)
    assert bank.manifest.threshold.value > 0


def test_progress_reports_every_stage_to_its_end() -> None:
    """The last report of each stage has done == total."""
    reports: list[tuple[str, int, int]] = []
    frames = window(20, defects=2)
    build_bank(
        frames,
        MeanColours(),
        SETTINGS,
        view="v/c",
        frame_names=names(frames),
        created_at=AT,
        progress=lambda *report: reports.append(report),
    )
    last = {stage: (done, total) for stage, done, total in reports}
    assert list(last) == ["embed", "denoise", "subsample", "calibrate"]
    assert all(done == total for done, total in last.values())


def test_probes_replay_on_the_embedder_that_built_them() -> None:
    """The same scores, to the last digit."""
    bank = default_bank()
    assert run_self_test(bank, MeanColours(), Scorer(bank, FlatSearch(bank.vectors))).worst_difference == 0


def test_probes_refuse_a_provider_that_scores_otherwise() -> None:
    """One percent off is more than fp32 explains."""
    bank = default_bank()
    with pytest.raises(
        ProbesDisagree, match=r"^probe scores on cuda \(fp32\) differ by .* relative, more than 0.001: "
    ):
        run_self_test(bank, Brighter(), Scorer(bank, FlatSearch(bank.vectors)))


def test_probes_refuse_another_graph() -> None:
    """A bank belongs to its graph, and the message names both."""
    bank = default_bank()
    with pytest.raises(ProbesDisagree) as caught:
        run_self_test(bank, OtherGraph(), Scorer(bank, FlatSearch(bank.vectors)))
    assert str(caught.value) == (
        "the bank belongs to graph ffffffffffff (ffffffffffff), this program runs eeeeeeeeeeee: "
        "load the bank's graph, or rebuild the bank"
    )
