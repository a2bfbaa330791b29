"""Detection curves of known laws are found again, and what cannot be known is not claimed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softpatch.calibration.detection import SIZE_CLASSES, PlantResult, detection_curve

TRUE_A50_PX, TRUE_SLOPE = 12.0, 3.0
TRUE_A90_PX = TRUE_A50_PX * float(np.exp(np.log(9) / TRUE_SLOPE))


def results(count: int, seed: int) -> list[PlantResult]:
    """Defects of 2 to 100 px, found by a known law."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(2), np.log(100), count))
    found = rng.random(count) < 1 / (1 + (TRUE_A50_PX / sizes) ** TRUE_SLOPE)
    return [PlantResult("scratch", float(size), bool(hit)) for size, hit in zip(sizes, found, strict=True)]


def test_a_known_law_is_found_again() -> None:
    """Of 5,000 defects, within a tenth; the curve itself gives the same."""
    curve = detection_curve(results(5000, seed=1), seed=0)
    assert curve.a50_px == pytest.approx(TRUE_A50_PX, rel=0.1)
    assert curve.a90_px == pytest.approx(TRUE_A90_PX, rel=0.1)
    assert curve.probability(TRUE_A50_PX) == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_the_interval_holds_as_often_as_it_says() -> None:
    """Nine in ten, of 60 windows of 200 defects: at least 48, which a true share of 0.9 misses once in 500."""
    curves = [detection_curve(results(200, seed=seed), seed=0) for seed in range(60)]
    held = [
        (each.a90_low_px or np.inf) <= TRUE_A90_PX <= (np.inf if each.a90_high_px is None else each.a90_high_px)
        for each in curves
    ]
    assert sum(held) >= 48


def test_a_bank_that_finds_nothing_has_no_smallest_defect() -> None:
    """No size is found nine times in ten, nor once in two."""
    curve = detection_curve([PlantResult("stain", size, found=False) for size in (2.0, 8.0, 30.0)], seed=0)
    assert (curve.found, curve.a50_px, curve.a90_px, curve.a90_low_px) == (0, None, None, None)


def test_kinds_and_sizes_are_counted() -> None:
    """Every defect is in one class of sizes; a kind's share is its own."""
    some = [
        PlantResult("dent", 4.0, found=False),
        PlantResult("blur", 4.0, found=True),
        PlantResult("dent", 40.0, True),
    ]
    curve = detection_curve(some, seed=0)
    assert curve.kinds == {"blur": 1.0, "dent": 0.5}
    assert len(curve.sizes) == SIZE_CLASSES
    assert (sum(each.planted for each in curve.sizes), sum(each.found for each in curve.sizes)) == (3, 2)


def test_without_defects_there_is_no_curve() -> None:
    """Rather an error than a curve of nothing."""
    with pytest.raises(ValueError, match="needs planted defects"):
        detection_curve([], seed=0)


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(1, 2000), st.booleans()), min_size=1, max_size=40))
def test_any_results_give_a_curve(drawn: list[tuple[float, bool]]) -> None:
    """Equal sizes, all found, all missed: finite numbers, and the order of the sizes holds."""
    curve = detection_curve([PlantResult("patch", size, found) for size, found in drawn], seed=0)
    if curve.a90_px is not None and curve.a50_px is not None:
        assert curve.a50_px <= curve.a90_px <= curve.largest_px * (1 + 1e-9)
