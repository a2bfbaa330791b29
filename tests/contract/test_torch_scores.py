"""Scores, regions and embeddings on tensors of the CPU are those of NumPy: the path that a GPU takes, run here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from softpatch.network import torch_embed
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.network.providers import FrameShapes
from softpatch.network.torch_embed import NotOnDevice, TorchEmbedder
from softpatch.scoring.score import Scorer, anomaly_map, in_metric, regions, regions_within
from softpatch.scoring.search import BruteSearch, NoNeighbour
from softpatch.scoring.torch_score import TorchScorer, scorer_of
from softpatch.scoring.torch_search import TorchSearch
from softpatch.settings import ScoringRule

if TYPE_CHECKING:
    from softpatch.network.running import Memory

pytestmark = pytest.mark.export
torch = pytest.importorskip("torch", reason="needs the export extra")

PAPER = ScoringRule()
OURS = ScoringRule(second_frame_ratio=0.5, untrusted_ratio=0.9, blur_cells=0.8)
TRUSTED, PATCHES, DIMENSION, GRID = 240, 300, 24, (6, 9)


@dataclass(frozen=True)
class Patches:
    """What a scorer needs of a bank, and the vectors."""

    vectors: np.ndarray
    soft_weights: np.ndarray
    source_frame: np.ndarray
    trusted_patches: int
    scoring: ScoringRule
    confirmed: np.ndarray | None = None
    ignored: np.ndarray | None = None
    negative_vectors: np.ndarray | None = None
    second_frame_within: np.ndarray | None = None
    metric: np.ndarray | None = None
    position_weights: np.ndarray | None = None


def patches(scoring: ScoringRule, trusted: int = PATCHES) -> Patches:
    """Of nine frames; the untrusted ones are far from the others."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(PATCHES, DIMENSION)).astype(np.float32)
    vectors[trusted:] *= 4
    weights = rng.uniform(0.5, 4, PATCHES).astype(np.float32)
    return Patches(vectors, weights, rng.integers(0, 9, PATCHES).astype(np.int32), trusted, scoring)


def with_all() -> Patches:
    """A bank that people have said everything of."""
    rng, bank = np.random.default_rng(1), patches(OURS, TRUSTED)
    ignored = np.zeros(GRID, np.bool_)
    ignored[:2, 3:] = True
    return replace(
        bank,
        confirmed=rng.random(PATCHES) < 0.2,
        ignored=ignored,
        negative_vectors=(bank.vectors[:5] + 1).astype(np.float32),
        second_frame_within=np.where(rng.random(PATCHES) < 0.5, 0.3, np.inf).astype(np.float32),
    )


def weighed() -> Patches:
    """A bank with a metric, a matrix that patches are multiplied by before they are compared, and position weights."""
    rng = np.random.default_rng(4)
    drawn = rng.normal(size=(DIMENSION, DIMENSION)) / np.sqrt(DIMENSION)
    weights = rng.uniform(0.5, 1.1, GRID).astype(np.float32)
    return replace(with_all(), metric=(drawn + drawn.T).astype(np.float32), position_weights=weights)


def near_duplicates() -> Patches:
    """Patches of norm 100, 0.05 to 2 apart."""
    rng, bank = np.random.default_rng(2), patches(OURS, TRUSTED)
    apart = rng.normal(size=(PATCHES, DIMENSION)) / np.sqrt(DIMENSION) * np.linspace(0.05, 2, PATCHES)[:, None]
    centre = rng.normal(size=DIMENSION) * 100 / np.sqrt(DIMENSION)
    return replace(bank, vectors=(centre + apart).astype(np.float32))


def ties() -> Patches:
    """Each patch thirty times, alike in weight, of different frames."""
    bank = patches(OURS, TRUSTED)
    return replace(bank, vectors=np.tile(bank.vectors[:10], (30, 1)), soft_weights=np.ones(PATCHES, np.float32))


def of_one_frame() -> Patches:
    """A bank that knows no second frame."""
    return replace(patches(OURS), source_frame=np.full(PATCHES, 7, np.int32))


BANKS = {
    "paper": lambda: patches(PAPER),
    "untrusted": lambda: patches(ScoringRule(untrusted_ratio=0.9), TRUSTED),
    "ours": lambda: patches(OURS, TRUSTED),
    "all": with_all,
    "metric and position weights": weighed,
    "near-duplicates": near_duplicates,
    "ties": ties,
    "one frame": of_one_frame,
    "one patch": lambda: replace(
        patches(OURS, 1), vectors=np.ones((1, DIMENSION), np.float32), soft_weights=np.ones(1, np.float32)
    ),
}


def near(bank: Patches, frames: int = 3) -> np.ndarray:
    """Embeddings near to patches of the bank, some of them equal to one."""
    rng = np.random.default_rng(3)
    chosen = bank.vectors[rng.integers(0, len(bank.vectors), (frames, *GRID))]
    spread = rng.choice([0.0, 0.05, 1.0], size=(frames, *GRID, 1))
    return (chosen + rng.normal(size=chosen.shape) * spread).astype(np.float32)


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("bank", BANKS.values(), ids=BANKS)
def test_scores_on_a_device_are_those_of_numpy(bank: object, *, half: bool) -> None:
    """By the definition's search; where two patches are equally near either row is right."""
    made: Patches = bank()  # type: ignore[operator] # one of BANKS
    embeddings = near(made)
    expected = Scorer(made, BruteSearch(made.vectors)).score(embeddings)
    scorer = TorchScorer(made, TorchSearch.of(made.vectors, half=half))
    found = scorer.score(torch.from_numpy(embeddings))
    trusted = made.vectors[: made.trusted_patches]
    for one, other, embedding in zip(found, expected, embeddings, strict=True):
        np.testing.assert_allclose(one.patch_scores, other.patch_scores, rtol=1e-4, atol=1e-4)
        assert one.score == pytest.approx(other.score, rel=1e-4)
        assert one.worst_position == other.worst_position
        compared = in_metric(embedding, made.metric)
        nearest, farther = (np.linalg.norm(compared - trusted[each.nearest_row], axis=-1) for each in (other, one))
        np.testing.assert_allclose(farther, nearest, rtol=1e-4, atol=1e-4)


def test_embeddings_may_come_from_the_host() -> None:
    """Where the network runs on the CPU and the search does not; arrays that nobody may write to as well."""
    bank = patches(OURS, TRUSTED)
    scorer, embeddings = scorer_of(bank, TorchSearch.of(bank.vectors)), near(bank)
    embeddings.flags.writeable = False
    assert isinstance(scorer, TorchScorer)
    on_host, on_device = scorer.score(embeddings), scorer.score(torch.from_numpy(embeddings.copy()))
    assert [each.score for each in on_host] == [each.score for each in on_device]
    assert isinstance(scorer_of(bank, BruteSearch(bank.vectors)), Scorer)


def test_trusted_and_untrusted_patches_are_searched_by_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the queries and the whole bank."""
    bank = patches(OURS, TRUSTED)
    search = TorchSearch.of(bank.vectors)
    scorer, products, closeness = TorchScorer(bank, search), [], search._ranking.closeness

    def counted(queries: object) -> object:
        products.append(queries)
        return closeness(queries)

    monkeypatch.setattr(search._ranking, "closeness", counted)
    scorer.score(torch.from_numpy(near(bank)))
    assert [tuple(each.shape) for each in products] == [(3 * GRID[0] * GRID[1], DIMENSION)]


@pytest.mark.parametrize("size", [(48, 72), (37, 50), (224, 224)])
def test_regions_on_a_device_are_those_of_the_map(size: tuple[int, int]) -> None:
    """Also where the input is no multiple of the grid, and where the Gaussian is wider than it."""
    bank, (height, width) = patches(OURS, TRUSTED), size
    numpy, scorer = Scorer(bank, BruteSearch(bank.vectors)), TorchScorer(bank, TorchSearch.of(bank.vectors))
    for found in numpy.score(near(bank)):
        scores = found.patch_scores
        for threshold in (0.0, 0.4 * found.score, 0.9 * found.score, found.score):
            smoothed = anomaly_map(scores, height_px=height, width_px=width)
            exceeding = scorer.exceeding(scores, threshold, height_px=height, width_px=width)
            clear = np.abs(smoothed - threshold) > 1e-5 * found.score
            np.testing.assert_array_equal(exceeding[clear], (smoothed > threshold)[clear])
            boxes = [each.box_xyxy for each in regions_within(scores, exceeding, threshold)]
            assert boxes == [each.box_xyxy for each in regions(scores, smoothed, threshold)]


def test_mean_patches_are_the_means() -> None:
    """On the host, for each frame."""
    bank = patches(OURS)
    embeddings = near(bank)
    found = TorchScorer(bank, TorchSearch.of(bank.vectors)).mean_patches(torch.from_numpy(embeddings))
    np.testing.assert_allclose(found, Scorer(bank, BruteSearch(bank.vectors)).mean_patches(embeddings), rtol=1e-6)


def test_a_value_that_is_not_finite_and_an_empty_bank_have_no_score() -> None:
    """NaN must never become a score."""
    bank = patches(OURS, TRUSTED)
    embeddings = near(bank)
    embeddings[1, 2, 3, 4] = np.nan
    with pytest.raises(NoNeighbour, match="not finite"):
        TorchScorer(bank, TorchSearch.of(bank.vectors)).score(torch.from_numpy(embeddings))
    with pytest.raises(NoNeighbour, match="the bank is empty"):
        TorchScorer(replace(bank, trusted_patches=0), TorchSearch.of(bank.vectors))


@pytest.fixture(scope="module")
def on_host() -> OnnxEmbedder:
    """Lite0, of small frames, four of them in a run at most."""
    shapes = FrameShapes(64, 96, max_frames=4)
    return OnnxEmbedder.open(lite0(), features="fine", provider="cpu", threads=1, shapes=shapes)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 11])
def test_embeddings_are_written_to_the_tensor_that_is_given(
    on_host: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Runs of one or four frames, each to its rows of one tensor; what fills a run up is left out."""
    written: list[tuple[int, Memory]] = []

    def noted(session: object, features: str, frames: Memory, embeddings: Memory) -> None:
        written.append((frames.shape[0], embeddings))
        run_in_memory(session, features, frames, embeddings)

    run_in_memory = torch_embed.run_in_memory
    monkeypatch.setattr(torch_embed, "run_in_memory", noted)
    frames = np.random.default_rng(0).integers(0, 256, (count, 64, 96, 3), np.uint8)
    found = TorchEmbedder.proven(on_host, device="cpu").embed(frames)
    assert found.shape == (count, 8, 12, 152)
    runs = written[2:]  # after the proof
    assert [each for each, _ in runs] == {0: [], 1: [1], 3: [4], 4: [4], 11: [4, 4, 4]}[count]
    each_frame = 8 * 12 * 152 * 4
    assert [memory.address for _, memory in runs] == [found.data_ptr() + 4 * i * each_frame for i in range(len(runs))]
    np.testing.assert_allclose(found.numpy(), on_host.embed(frames), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", ["fine", "medium", "wide"])
def test_large_frames_go_in_tiles(on_host: OnnxEmbedder, features: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the host; each feature set by a session of its own."""
    monkeypatch.setattr("softpatch.network.tiles.MOST_PX", 128 * 128)
    monkeypatch.setattr("softpatch.network.tiles.TILE_PX", 96)
    monkeypatch.setattr("softpatch.network.tiles.MARGIN_PX", 32)
    frames = np.random.default_rng(0).integers(0, 256, (2, 160, 192, 3), np.uint8)
    embedder = TorchEmbedder.proven(on_host, device="cpu").with_features(features)
    assert embedder.features == features
    assert len(embedder.embedder.tiles(160, 192)) > 1
    expected = on_host.with_features(features).embed(frames)
    np.testing.assert_allclose(embedder.embed(frames).numpy(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="the graph takes multiples of 32"):
        embedder.embed(frames[:, :150])


def test_it_is_refused_where_it_gives_something_else(on_host: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or fails; the reason is kept."""
    monkeypatch.setattr(torch_embed, "run_in_memory", lambda *_: None)
    monkeypatch.setattr(torch, "empty", torch.zeros)
    with pytest.raises(NotOnDevice, match=r"^in memory of torch, at a batch of 1, its embeddings differ"):
        TorchEmbedder.proven(on_host, device="cpu")

    def failing(*_: object) -> None:
        raise RuntimeError("CUDA failure 700:\nan illegal memory access")

    monkeypatch.setattr(torch_embed, "run_in_memory", failing)
    with pytest.raises(NotOnDevice, match=r"^CUDA failure 700: an illegal memory access$"):
        TorchEmbedder.proven(on_host, device="cpu")
