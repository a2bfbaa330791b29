"""Numbers as Grafana writes them, for the units that our panels use."""

from __future__ import annotations

import math

THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (0.0, "µs"))
BINARY = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (0.0, "B"))


def formatted(number: float, unit: str) -> str:
    """A number of a unit by Grafana's name: short, s, bytes, Bps, cps, percentunit. Raises KeyError for another one."""
    if not math.isfinite(number):
        return "No data"
    return {"short": _short, "s": _span, "bytes": _bytes, "Bps": _rate, "cps": _count, "percentunit": _share}[unit](
        number
    )


def _short(number: float) -> str:
    for size, letter in THOUSANDS:
        if abs(number) >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def _count(number: float) -> str:
    return f"{_short(number)}/s"


def _share(number: float) -> str:
    return f"{100 * number:.3g} %"


def _span(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    size, name = next((size, name) for size, name in SPANS if abs(seconds) >= size)
    return f"{seconds / (size or 1e-6):.3g} {name}"


def _bytes(number: float) -> str:
    size, name = next((size, name) for size, name in BINARY if abs(number) >= size)
    return f"{number / (size or 1.0):.3g} {name}"


def _rate(number: float) -> str:
    return f"{_bytes(number)}/s"
