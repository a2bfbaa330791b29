"""Measures and bounds in, a verdict out: which bound a candidate breaks, by how much, and frames that show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from softpatch.gate.measures import GateMeasures
from softpatch.gate.settings import GateSettings

BoundName = Literal[
    "line_changed",
    "anchored_drift",
    "verdict_churn",
    "threshold_ratio",
    "score_shift",
    "noise_estimate",
    "coverage",
    "detection_drop",
    "golden_wrong",
]
BOUNDS: tuple[BoundName, ...] = get_args(BoundName)


@dataclass(frozen=True)
class Breach:
    """A bound that is broken; the sentence is for people."""

    bound: BoundName
    value: float
    limit: float
    sentence: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateVerdict:
    """Whether a candidate may come into force; what it breaks otherwise, the gravest first."""

    breaches: tuple[Breach, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it keeps every bound."""
        return not self.breaches

    @property
    def line_changed(self) -> bool:
        """Whether most of the window fails by the bank in force."""
        return any(each.bound == "line_changed" for each in self.breaches)

    @property
    def sentence(self) -> str:
        """Why it was refused, or that it passed."""
        return "; ".join(each.sentence for each in self.breaches) or "it keeps every bound of the gate"


def judged(measures: GateMeasures, settings: GateSettings) -> GateVerdict:
    """The verdict on these measures."""
    return GateVerdict(tuple(_breaches(measures, settings)))


def _breaches(measures: GateMeasures, settings: GateSettings) -> Iterator[Breach]:
    for bound in BOUNDS:
        limit, value = getattr(settings, bound), _value(measures, bound)
        if limit is not None and value is not None and _broken(bound, value, float(limit)):
            sentence = _SENTENCES[bound].format(value=value, limit=limit, percent=100 * value, most=100 * limit)
            if bound == "golden_wrong":
                sentence = f"{sentence}: {', '.join(measures.golden_wrong)}"
            yield Breach(bound, value, float(limit), sentence, tuple(measures.examples.get(bound, ())))


def _value(measures: GateMeasures, bound: BoundName) -> float | None:
    if bound == "golden_wrong":
        return float(len(measures.golden_wrong))
    value: float | None = getattr(measures, bound)
    return value


def _broken(bound: BoundName, value: float, limit: float) -> bool:
    if bound == "coverage":
        return value < limit
    if bound == "line_changed":
        return value >= limit
    if bound == "threshold_ratio":
        return max(value, 1 / value) > limit
    return (abs(value) if bound == "score_shift" else value) > limit


_SENTENCES: dict[BoundName, str] = {
    "line_changed": "{percent:.0f} % of the window fail by the bank in force, at {most:.0f} % the line has changed",
    "anchored_drift": "{percent:.0f} % of what it learnt fail by the pinned reference bank, {most:.0f} % may: "
    "where the line is as it should be, patchline pin makes the bank in force the reference",
    "verdict_churn": "{percent:.0f} % of what it learnt are decided otherwise than until now, {most:.0f} % may",
    "threshold_ratio": "its threshold is {value:.2f} times the one in force, {limit:.2f} times more or less it may be",
    "score_shift": "the median of score over threshold moved by {value:+.2f}, {limit:.2f} it may",
    "noise_estimate": "{percent:.0f} % of the window are defective by its estimate, {most:.0f} % may be",
    "coverage": "it learnt from {percent:.0f} % of the window, at least {most:.0f} % it must",
    "detection_drop": "of 100 planted defects it finds {percent:.0f} fewer than the bank in force, {most:.0f} it may",
    "golden_wrong": "{value:.0f} words of people are not followed, {limit:.0f} may be left",
}
