"""Counters, gauges and histograms that keep the text of each series for the next scrape.

Most of a thousand views' series stand still between two scrapes, and most of what the library does for a scrape is
making samples of them. These are the library's own kinds, used alike; only what changed is written again.
`monitoring.exposition` asks for the text, everybody else for samples as ever. Times of creation are not written:
`monitoring.declared.declare` switches them off.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.samples import Sample

PLAIN_BELOW = 100_000.0
"""Up to here Python writes a float as Go does."""
AT_ONCE = 400
"""Series, or histograms, after which the interpreter is let go of: about a millisecond. Otherwise who decides frames
beside a scrape would wait for five each time it comes back from reading or from a network."""
BREATH_SECONDS = 0.0003


class KeptFamily(Metric):
    """A metric whose text is at hand; its samples are made where somebody asks for them."""

    def __init__(self, of: Metric, *, text: Callable[[], str], samples: Callable[[], list[Sample]]) -> None:
        super().__init__(of.name, of.documentation, of.type, of.unit)
        self.text = text
        """One line for each sample."""
        self._made: list[Sample] | None = None
        self._make = samples

    @property
    def samples(self) -> list[Sample]:
        """As the library makes them."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @samples.setter
    def samples(self, made: list[Sample]) -> None:
        self._made = made or None


class _Kept(MetricWrapperBase):
    _kept: tuple[object, str] = (None, "")
    """What the text was written of, and the text: one value, because two scrapes may come at once."""

    def collect(self) -> Iterable[Metric]:
        """This metric, its text not yet written."""
        return [KeptFamily(self._get_metric(), text=self._text, samples=self._all_samples)]  # type: ignore[no-untyped-call]

    def _all_samples(self) -> list[Sample]:
        return list(next(iter(super().collect())).samples)

    def _text(self) -> str:
        if not self._is_parent():  # type: ignore[no-untyped-call]  # the library has no annotations there
            return self.lines()
        with self._lock:
            children: list[_Kept] = list(self._metrics.values())  # type: ignore[arg-type]  # of this kind all
        parts = []
        for at in range(0, len(children), AT_ONCE):
            if at:
                time.sleep(BREATH_SECONDS)
            parts += [child.lines() for child in children[at : at + AT_ONCE]]
        return "".join(parts)

    @abstractmethod
    def lines(self) -> str:
        """The lines of one child, or of a metric without labels."""

    def _labels(self) -> str:
        return label_text(dict(zip(self._labelnames, self._labelvalues, strict=True)))


class KeptCounter(_Kept, Counter):
    """The library's counter, whose lines are written again where it rose."""

    def lines(self) -> str:
        """The lines of one child, or of a metric without labels."""
        value = self._value.get()
        if value is not self._kept[0]:
            self._kept = (value, f"{self._name}_total{self._labels()} {number_text(value)}\n")
        return self._kept[1]


class KeptGauge(_Kept, Gauge):
    """The library's gauge, whose lines are written again where it was set."""

    _function: Callable[[], float] | None = None

    def set_function(self, f: Callable[[], float]) -> None:
        """Take the value of this function whenever it is asked for."""
        super().set_function(f)
        self._function = f

    def lines(self) -> str:
        """The lines of one child, or of a metric without labels."""
        value = self._value.get() if self._function is None else float(self._function())
        if value is not self._kept[0]:
            self._kept = (value, f"{self._name}{self._labels()} {number_text(value)}\n")
        return self._kept[1]


class KeptHistogram(_Kept, Histogram):
    """The library's histogram, whose lines are written again where it was told something."""

    def lines(self) -> str:
        """The lines of one child, or of a metric without labels."""
        counts = [each.get() for each in self._buckets]
        told = (self._sum.get(), counts)
        if told != self._kept[0]:
            self._kept = (told, self._written(*told))
        return self._kept[1]

    def _written(self, total: float, counts: list[float]) -> str:
        own = dict(zip(self._labelnames, self._labelvalues, strict=True))
        before = "".join([f"{_pair(name, own[name])}," for name in sorted(own) if name < "le"])
        after = "".join([f",{_pair(name, own[name])}" for name in sorted(own) if name > "le"])
        lines, so_far = [], 0.0
        for bound, count in zip(self._upper_bounds, counts, strict=True):
            so_far += count
            lines.append(f"{self._name}_bucket{{{before}{_edge(bound)}{after}}} {number_text(so_far)}\n")
        lines.append(f"{self._name}_count{self._labels()} {number_text(so_far)}\n")
        if self._upper_bounds[0] >= 0:
            lines.append(f"{self._name}_sum{self._labels()} {number_text(total)}\n")
        return "".join(lines)


def number_text(value: float) -> str:
    """A number as Go writes it."""
    if type(value) is float and 0 <= value < PLAIN_BELOW:
        return repr(value)
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library has no annotations there
    return text


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as they follow a name: sorted and escaped, in braces; nothing where there are none."""
    if not labels:
        return ""
    pairs = labels.items() if len(labels) == 1 else sorted(labels.items())
    return f"{{{','.join([_pair(name, value) for name, value in pairs])}}}"


@lru_cache(maxsize=1024)
def _edge(bound: float) -> str:
    return _pair("le", number_text(bound))


@lru_cache(maxsize=8192)
def _pair(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'
