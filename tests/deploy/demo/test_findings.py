"""What a demo says of its misses: by kind, by the bank's own word, and what would have helped by how much."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from deploy.demo.findings import detection_sentence, findings, misses_by_kind
from deploy.demo.summary import JudgedFrame
from softpatch.building.build import build_bank
from softpatch.calibration.detection import PlantResult, detection_curve
from softpatch.calibration.threshold import threshold_of
from tests.deploy.runs import decided
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, names, window

if TYPE_CHECKING:
    from softpatch.bank import Bank


@cache
def bank() -> Bank:
    """A small one."""
    frames = window()
    return build_bank(frames, MeanColours(), SETTINGS, view="line-1/cam-1", frame_names=names(frames), created_at="")


def judged(label: str, ratio: float) -> JudgedFrame:
    """A frame with this label, and the decision that its score ratio gives."""
    decision = decided(ratio)
    score = ratio * bank().manifest.threshold.value
    return JudgedFrame(
        label, decision.model_copy(update={"score": score, "threshold": bank().manifest.threshold.value})
    )


def run() -> list[JudgedFrame]:
    """Two scratches of three and one hole of two are missed; a good part is nearly rejected."""
    just = (1 + threshold_of(bank(), 0.05) / bank().manifest.threshold.value) / 2
    return [
        judged("scratch", just),
        judged("scratch", 0.1),
        judged("scratch", 1.5),
        judged("missing_hole", 0.2),
        judged("missing_hole", 2.0),
        judged("good", 0.1),
        judged("good", just),
        JudgedFrame("missing_hole", None),
    ]


def test_misses_are_counted_by_kind_the_most_missed_first() -> None:
    """A frame without an answer was there, and did not pass."""
    assert misses_by_kind(run()) == {"scratch": (2, 3), "missing_hole": (1, 3)}
    assert list(misses_by_kind(run())) == ["scratch", "missing_hole"]


def test_what_would_have_helped_is_counted_on_the_run_itself() -> None:
    """The stricter threshold stops the miss just below it, and the good part there; the larger input has its price."""
    said = findings(run(), bank())
    asked = threshold_of(bank(), 0.05)
    stricter = (
        f"A stricter threshold (build.false_reject_ratio: 0.05 instead of 0.02, {asked:.3g}) would have stopped 1 of "
        "the 3 missed, and 1 more of 2 good parts."
    )
    larger = (
        "A larger input shows smaller defects (build.most_input_px: 8192, now 64 x 64): about 2 times the time for a "
        "frame."
    )
    assert said == ["Missed by kind of defect: scratch 2 of 3, missing hole 1 of 3.", stricter, larger]


def test_without_a_miss_there_is_nothing_to_change() -> None:
    """What the bank sees is said all the same."""
    curve = detection_curve(
        [PlantResult("stain", size, size > 8) for size in (2.0, 4.0, 6.0, 10.0, 16.0, 30.0)], seed=0
    )
    seeing = replace(bank(), manifest=bank().manifest.model_copy(update={"detection": curve}))
    assert findings([judged("scratch", 1.5), judged("good", 0.1)], seeing) == [
        "Missed by kind of defect: scratch 0 of 1.",
        detection_sentence(curve),
    ]
    assert findings([judged("good", 0.1)], bank()) == []


def test_a_bank_says_what_it_finds_and_what_it_does_not() -> None:
    """With the interval; where no size is found so often, that is the word."""
    results = [PlantResult("stain", 4.0 + number, number >= 10) for number in range(40)]
    results += [PlantResult("blur", 4.0 + number, found=False) for number in range(3)]
    curve = detection_curve(results, seed=0)
    assert curve.a90_px is not None
    words = detection_sentence(curve)
    assert words.startswith(
        f"What the bank says of itself: of 43 defects planted into its own frames, those of {curve.a90_px:.0f} px ("
    )
    assert words.endswith("are found nine times in ten, smaller ones less often; a blur least often (0%).")
    blind = detection_curve([PlantResult("blur", 4.0 + number, found=False) for number in range(20)], seed=0)
    assert "no size up to 23 px is found nine times in ten" in detection_sentence(blind)
