"""Probe frames: whoever loads a bank proves on them that it scores as its builder did, before it decides anything."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.bank import Bank
from softpatch.network.embed import Embedder
from softpatch.network.providers import Precision
from softpatch.scoring.score import FrameScorer

TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-2, "int8": 2e-2}
"""How far a score may differ, relative to it, where the less precise side computes in that precision.

Integers are added alike everywhere; but another processor's first layer, in fp32, differs in the last bit, and a value
beside the middle between two steps then takes the other one."""

GPU_TOLERANCE = 1e-3
"""In fp32 on a GPU, which sums in another order, by other algorithms: what its embeddings may differ by, too."""


class ProbesDisagree(ValueError):
    """This provider does not score the bank's probe frames as its builder did, so its decisions cannot be trusted."""


@dataclass(frozen=True)
class ProbeReport:
    """The probes' scores here, the scores to expect, and the largest difference relative to what was expected."""

    scores: Float32[np.ndarray, "probes"]
    expected: Float32[np.ndarray, "probes"]
    tolerance: float

    @property
    def worst_difference(self) -> float:
        """Relative difference of the worst probe; a score of 0 is measured against the largest expected score."""
        largest = max(float(self.expected.max()), float(np.finfo(np.float32).tiny))
        scale = np.where(self.expected > 0, self.expected, np.float32(largest))
        return float((np.abs(self.scores - self.expected) / scale).max())


def run_self_test(bank: Bank, embedder: Embedder, scorer: FrameScorer) -> ProbeReport:
    """Scores the bank's probes on this embedder and by this scorer of the bank.

    Raises:
        ProbesDisagree: the graph is another one, or a score differs by more than the precision explains.
    """
    if embedder.graph_hash != bank.manifest.graph_hash:
        raise ProbesDisagree(
            f"the bank belongs to graph {bank.manifest.graph_hash[:12]} ({bank.manifest.graph_name}), "
            f"this program runs {embedder.graph_hash[:12]}: load the bank's graph, or rebuild the bank"
        )
    report = ProbeReport(
        scores=probe_scores(bank.probes, bank, embedder, scorer),
        expected=bank.probe_scores,
        tolerance=tolerance_of(embedder.provider, embedder.precision, bank.manifest.probe_precision),
    )
    if not report.worst_difference <= report.tolerance:  # NaN must not pass
        raise ProbesDisagree(
            f"probe scores on {embedder.provider} ({embedder.precision}) differ by {report.worst_difference:.2g} "
            f"relative, more than {report.tolerance:g}: use another provider, or rebuild the bank on this one"
        )
    return report


def tolerance_of(provider: str, precision: Precision, built_in: Precision) -> float:
    """How far a probe's score may be from the bank's, relative to it, on this provider in this precision."""
    for coarse in ("fp16", "int8"):
        if coarse in (precision, built_in):
            return TOLERANCES[coarse]
    return TOLERANCES["fp32"] if provider == "cpu" else GPU_TOLERANCE


def probe_scores(
    probes: tuple[bytes, ...], bank: Bank, embedder: Embedder, scorer: FrameScorer
) -> Float32[np.ndarray, "probes"]:
    """What these encoded frames score against the bank, one at a time: any batch size must agree."""
    geometry = bank.manifest.geometry
    embedder = embedder.with_features(bank.manifest.features)
    embedded = [embedder.embed(geometry.apply(geometry.decode(probe, max_pixels=None))[None]) for probe in probes]
    return np.array([scorer.score(one)[0].score for one in embedded], np.float32)
