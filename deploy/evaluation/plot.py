"""Image AUROC against noise, one panel per category and setting."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean
from typing import TYPE_CHECKING

from deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deploy.evaluation.results.rows import Row

LEGEND_INCHES = 2.2
FIRST = ("patchline", "softpatch-lof", "patchcore", "clean-patchcore")


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the means over seeds. Raises UsageError where matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 -- the evaluate extra
    except ImportError as error:
        raise UsageError("the plot needs the evaluate extra: pip install 'patchline[evaluate]'") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- after its backend is chosen

    rows = curves_of(rows)
    settings = sorted({row.setting for row in rows})
    categories = sorted({row.category for row in rows})
    size = (3.2 * len(categories) + LEGEND_INCHES, 2.8 * len(settings))
    figure, axes = plt.subplots(len(settings), len(categories), figsize=size, squeeze=False, sharex=True, sharey="col")
    for line, setting in enumerate(settings):
        for column, category in enumerate(categories):
            axis = axes[line, column]
            _draw(axis, [row for row in rows if (row.setting, row.category) == (setting, category)])
            axis.set_title(f"{category}, {setting}", fontsize=9)
            axis.grid(alpha=0.3)
        axes[line, 0].set_ylabel("image AUROC")
    for axis in axes[-1]:
        axis.set_xlabel("noise (injected / good)")
    handles = {label: h for axis in axes.flat for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="center right", fontsize=8)
    figure.tight_layout(rect=(0, 0, 1 - LEGEND_INCHES / size[0], 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def curves_of(rows: Sequence[Row]) -> list[Row]:
    """The first backbone's rows, of methods measured at several noises; of all, where no method was.

    A mean over backbones would be neither's curve, and a dozen methods at one noise are a table.
    """
    of_first = [row for row in rows if row.backbone == rows[0].backbone]
    noises: dict[str, set[float]] = defaultdict(set)
    for row in of_first:
        noises[row.method].add(row.noise)
    curves = {method for method, measured in noises.items() if len(measured) > 1} or noises.keys()
    return [row for row in of_first if row.method in curves]


def _draw(axis: object, rows: Sequence[Row]) -> None:
    curves: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        curves[row.method][row.noise].append(row.image_auroc)
    for method in sorted(curves, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
        points = sorted((noise, mean(values)) for noise, values in curves[method].items())
        colour = f"C{FIRST.index(method)}" if method in FIRST else None
        style = {"color": colour, "marker": "o", "linestyle": "--" if method == "clean-patchcore" else "-"}
        axis.plot(*zip(*points, strict=True), label=method, markersize=3, **style)  # type: ignore[attr-defined] # Axes
