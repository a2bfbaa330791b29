"""The figures of a run against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deploy.demo.summary import (
    JudgedFrame,
    false_reject_ratio,
    image_auroc,
    latency_seconds,
    miss_ratio,
    once_each,
    undecided,
)
from ingest.decision import Verdict
from tests.deploy.runs import decided, source


@pytest.mark.parametrize("seed", range(5))
def test_image_auroc_is_scikit_learns(seed: int) -> None:
    """Ties included; late frames count with the score they have."""
    rng = np.random.default_rng(seed)
    ratios = rng.integers(1, 30, 80) / 10
    bad = rng.random(80) < 0.3
    frames = [
        JudgedFrame("crack" if defective else "good", decided(float(ratio), late=bool(rng.random() < 0.2)))
        for ratio, defective in zip(ratios, bad, strict=True)
    ]
    assert image_auroc(frames) == pytest.approx(roc_auc_score(bad, ratios), abs=1e-12)


def test_a_frame_without_a_score_loses_every_comparison() -> None:
    """Leaving it out would reward a line for not deciding its hard frames."""
    scored = [JudgedFrame("good", decided(0.5)), JudgedFrame("crack", decided(2.0))]
    assert image_auroc(scored) == 1.0
    assert image_auroc([*scored, JudgedFrame("crack", decided(None))]) == 0.5
    assert image_auroc([*scored, JudgedFrame("good", None)]) == 0.5


def test_frames_of_unknown_truth_have_no_auroc_and_no_ratios() -> None:
    """Nobody knows, and the figures say so."""
    frames = [JudgedFrame(None, decided(0.5)), JudgedFrame(None, decided(2.0))]
    assert image_auroc(frames) is None
    assert false_reject_ratio(frames) is None
    assert miss_ratio(frames) is None


def test_ratios_are_shares_of_all_frames_of_that_truth() -> None:
    """An undecided frame is neither rejected nor missed, but it counts below the line."""
    frames = [
        JudgedFrame("good", decided(0.5)),
        JudgedFrame("good", decided(1.5)),
        JudgedFrame("good", decided(None)),
        JudgedFrame("good", decided(0.7)),
        JudgedFrame("crack", decided(0.9)),
        JudgedFrame("crack", decided(3.0)),
    ]
    assert false_reject_ratio(frames) == pytest.approx(1 / 4)
    assert miss_ratio(frames) == pytest.approx(1 / 2)
    assert undecided(frames) == 1


def test_a_part_decided_again_counts_once() -> None:
    """A camera that sends a frame twice ejects one part: the counter goes by decision id, the first holds."""
    first, again = decided(1.5, offset=3), decided(0.5, offset=3).model_copy(update={"duplicate_of": source(3)})
    assert first.id == again.id
    parts = once_each(
        [
            JudgedFrame("good", first),
            JudgedFrame("good", again),
            JudgedFrame("good", None),
            JudgedFrame("good", decided(0.5)),
        ]
    )
    assert [each.decision and each.decision.verdict for each in parts] == [Verdict.FAIL, Verdict.PASS, None]
    assert false_reject_ratio(parts) == pytest.approx(1 / 3)


def test_latency_is_a_percentile_of_the_frames_that_were_answered() -> None:
    """NumPy's linear percentile."""
    frames = [JudgedFrame("good", decided(0.5), seconds) for seconds in (0.1, 0.2, 0.3)] + [JudgedFrame("good", None)]
    assert latency_seconds(frames, 50) == pytest.approx(0.2)
    assert latency_seconds([], 99) is None
