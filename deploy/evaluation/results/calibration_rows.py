"""Whether a threshold rejects the share of good frames it was asked to: rows and the table of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict

from deploy.evaluation.results.report import table
from softpatch.calibration.threshold import suggest

ASKED = (0.05, 0.02, 0.01)
FOLDS = 3

Order = Literal["shuffled", "time"]
CalibrationKey = tuple[str, str, str, str, float, int]


class CalibrationRow(BaseModel):
    """One asked ratio on one category: what good frames that no bank had seen made of its threshold.

    Over folds, `observed_false_reject_ratio` and `recall` count every held-out frame once; the interval, which is the
    false-reject ratio's, the threshold and the estimate are means over the folds' own. A defect is held out by several
    folds, and each counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    category: str
    backbone: str
    method: str
    order: Order
    noise: float
    seed: int
    folds: int
    window_frames: int
    good_frames: int
    asked_false_reject_ratio: float
    observed_false_reject_ratio: float
    interval_low: float
    interval_high: float
    recall: float | None
    noise_estimate: float
    threshold: float
    threshold_interval_ratio: float

    @property
    def key(self) -> CalibrationKey:
        """What makes it that experiment; the rows of all asked ratios share it."""
        return (self.dataset, self.category, self.backbone, self.order, self.noise, self.seed)


@dataclass(frozen=True)
class FoldScores:
    """Scores of one fold: of its window's frames that are learnt, cross-fitted, and of the held-out frames."""

    calibration: Float32[np.ndarray, "frames"]
    good: Float32[np.ndarray, "good"]
    defective: Float32[np.ndarray, "defective"]
    window_frames: int


def rows_of(
    folds: Sequence[FoldScores], key: CalibrationKey, *, asked: Iterable[float] = ASKED
) -> list[CalibrationRow]:
    """A row for each asked ratio."""
    dataset, category, backbone, order, noise, seed = key
    rows = []
    for ratio in asked:
        suggestions = [suggest(fold.calibration, false_reject_ratio=ratio, seed=seed) for fold in folds]
        limits = [each.threshold for each in suggestions]
        good = [fold.good > limit.value for fold, limit in zip(folds, limits, strict=True)]
        bad = [fold.defective > limit.value for fold, limit in zip(folds, limits, strict=True)]
        rejected_defective = np.concatenate(bad)
        rows.append(
            CalibrationRow(
                dataset=dataset,
                category=category,
                backbone=backbone,
                method="patchline",
                order="time" if order == "time" else "shuffled",
                noise=noise,
                seed=seed,
                folds=len(folds),
                window_frames=round(mean(fold.window_frames for fold in folds)),
                good_frames=sum(len(fold.good) for fold in folds),
                asked_false_reject_ratio=ratio,
                observed_false_reject_ratio=round(float(np.concatenate(good).mean()), 6),
                interval_low=round(mean(limit.false_reject_low for limit in limits), 6),
                interval_high=round(mean(limit.false_reject_high for limit in limits), 6),
                recall=round(float(rejected_defective.mean()), 6) if len(rejected_defective) else None,
                noise_estimate=round(mean(each.noise_estimate for each in suggestions), 6),
                threshold=float(f"{mean(limit.value for limit in limits):.6g}"),
                threshold_interval_ratio=round(mean(limit.interval_high / limit.interval_low for limit in limits), 4),
            )
        )
    return rows


def calibration_report(rows: Sequence[CalibrationRow]) -> str:
    """A table per backbone; one line per category, order, noise and asked ratio.

    It is the median over seeds, and in brackets how far they lie.
    """
    backbones = sorted({row.backbone for row in rows})
    return "\n".join(
        f"### Thresholds, {name}\n\n{_table([row for row in rows if row.backbone == name])}" for name in backbones
    )


def _table(rows: Sequence[CalibrationRow]) -> str:
    groups: dict[tuple[str, str, int, float, float], list[CalibrationRow]] = defaultdict(list)
    for row in rows:
        groups[(row.category, row.order, row.window_frames, row.noise, row.asked_false_reject_ratio)].append(row)
    head = [
        "category",
        "window",
        "noise",
        "asked",
        "observed",
        "90 % interval",
        "held",
        "recall",
        "noise estimate",
        "seeds",
    ]
    lines = []
    for (category, order, window, noise, asked), group in sorted(groups.items(), key=_place):
        inside = [row.interval_low <= row.observed_false_reject_ratio <= row.interval_high for row in group]
        low, high = median(row.interval_low for row in group), median(row.interval_high for row in group)
        recalls = [row.recall for row in group if row.recall is not None]
        lines.append(
            [
                category if order == "shuffled" else f"{category}, in time order",
                str(window),
                f"{noise:g}",
                f"{100 * asked:g} %",
                _spread([row.observed_false_reject_ratio for row in group]),
                f"{_percent(low)} to {_percent(high)}",
                f"{sum(inside)} of {len(inside)}",
                _spread(recalls) if recalls else "",
                _spread([row.noise_estimate for row in group]),
                str(len(group)),
            ]
        )
    return table(head, lines) + "\n"


def _place(item: tuple[tuple[str, str, int, float, float], list[CalibrationRow]]) -> tuple[str, str, float, int, float]:
    (category, order, window, noise, asked), _ = item
    return category, order, -asked, window, noise


def _spread(ratios: Sequence[float]) -> str:
    middle = _percent(median(ratios))
    return middle if len(ratios) == 1 else f"{middle} ({_percent(min(ratios))} to {_percent(max(ratios))})"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f} %"
