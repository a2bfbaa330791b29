"""The inspection with embeddings that stay on a device, here the CPU's: the same decisions, and little comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.decision import Reason, Verdict
from softpatch.network.torch_embed import TorchEmbedder
from softpatch.scoring.torch_search import TorchSearch
from tests.inference.sample_bank import encoded, jpeg, record
from tests.inference.test_inspector import Bench
from tests.inference.test_no_part import belt, belt_bank

if TYPE_CHECKING:
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import OnnxEmbedder

__all__ = ["belt_bank"]
pytestmark = pytest.mark.export
torch = pytest.importorskip("torch", reason="needs the export extra")

PICTURES = [jpeg(1), jpeg(2, defect=True), jpeg(3), encoded(belt(20)), jpeg(4, defect=True)]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_decisions_are_those_of_the_host(
    store: FsspecStore, embedder: OnnxEmbedder, belt_bank: Bank, *, half: bool
) -> None:
    """Verdict, score, regions, map, sketch and nearest patch; the bank proves itself on its probes there."""
    host = Bench(store, embedder)
    device = Bench(
        store,
        TorchEmbedder.proven(embedder, device="cpu"),
        make_search=lambda vectors: TorchSearch.of(vectors, half=half),
    )
    for bench in (host, device):
        bench.put_in_force(belt_bank)
    records = [record(n, each) for n, each in enumerate(PICTURES)]
    expected, found = host.decisions(*records), device.decisions(*records)
    assert [each.verdict for each in found] == [
        Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.UNDECIDED, Verdict.FAIL
    ]  # fmt: skip
    assert found[3].reason is Reason.NO_PART
    for one, other in zip(found, expected, strict=True):
        assert (one.verdict, one.reason, one.nearest) == (other.verdict, other.reason, other.nearest)
        assert one.score == pytest.approx(other.score, rel=1e-4)
        assert [each.box_xyxy_px for each in one.regions] == [each.box_xyxy_px for each in other.regions]
        assert one.sketch == pytest.approx(other.sketch, rel=1e-4, abs=1e-5)
        assert one.anomaly_map is not None
        assert other.anomaly_map is not None
        assert one.anomaly_map.scores() == pytest.approx(other.anomaly_map.scores(), rel=0.01, abs=0.01 * other.score)
    for bench in (host, device):
        bench.close()


def test_only_scores_and_rows_come_back(
    store: FsspecStore, embedder: OnnxEmbedder, belt_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the embeddings but a mean for each frame, and of a frame that fails where its map exceeds."""
    bench = Bench(store, TorchEmbedder.proven(embedder, device="cpu"), make_search=TorchSearch.of)
    bench.put_in_force(belt_bank)
    came_back: list[tuple[int, ...]] = []
    to_host = torch.Tensor.cpu

    def noted(tensor: torch.Tensor) -> torch.Tensor:
        came_back.append(tuple(tensor.shape))
        return to_host(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", noted)
    bench.decisions(*(record(n, each) for n, each in enumerate(PICTURES)))
    frames, grid = len(PICTURES), (8, 8)
    dimension = belt_bank.manifest.dimension
    of_no_part = 3 * [(grid[0] * grid[1],)] * 3  # distance, row, second distance of the three that do not pass
    of_maps = [(64, 64)] * 3
    assert sorted(came_back) == sorted(
        [(frames, *grid), (frames, *grid), (frames, dimension), *of_no_part, *of_maps]
    )  # scores, rows, means
    bench.close()
