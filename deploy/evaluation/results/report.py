"""Rows as Markdown: means over categories and seeds, one table per category, and differences with their intervals."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean

import numpy as np

from deploy.evaluation.results.bootstrap import Paired, PairedDifference, difference
from deploy.evaluation.results.rows import FrameScores, Row, RowKey

RESAMPLES = 1000
OURS = "patchline"
COMPARED_WITH = ("softpatch-lof", "clean-patchcore", "patchcore")

PUBLISHED_SCREW = (
    # method, backbone, no overlap, overlap: image / pixel AUROC, SoftPatch (NeurIPS 2022), noise 0.1
    ("PatchCore", "WideResNet50", "0.966 / 0.995", "0.710 / 0.745"),
    ("SoftPatch-LOF", "WideResNet50", "0.960 / 0.994", "0.923 / 0.969"),
    ("SoftPatch-nearest", "WideResNet50", "0.862 / 0.991", ""),
    ("SoftPatch-Gaussian", "WideResNet50", "0.475 / 0.969", ""),
    ("PaDiM", "WideResNet50 (ResNet-18 with overlap)", "0.838 / 0.989", "0.567 / 0.974"),
    ("PatchCore-random", "WideResNet50", "", "0.462 / 0.953"),
    ("PaDiM + PatchCore", "WideResNet50", "", "0.907 / 0.889"),
)


def report(rows: Sequence[Row], scores: Mapping[RowKey, FrameScores], truths: Mapping[str, Sequence[bool]]) -> str:
    """Every table that the rows allow. `truths`: per category, whether each test frame is defective."""
    parts = []
    for backbone in _unique(row.backbone for row in rows):
        own = [row for row in rows if row.backbone == backbone]
        parts += [f"### {backbone}: mean over categories and seeds", _means(own)]
        compared = _differences(own, scores, truths)
        if compared:
            parts += [f"### {backbone}: differences of {OURS}, image AUROC", compared]
        for category in _unique(row.category for row in own):
            of_category = [row for row in own if row.category == category]
            parts += [f"### {backbone}: {of_category[0].dataset}/{category}", _means(of_category)]
            if category == "screw":
                parts += ["Published for this category at noise 0.1, image / pixel AUROC:", _published_table()]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _means(rows: Sequence[Row]) -> str:
    """One line per method, setting and noise; every category counts the same, whatever its number of seeds."""
    groups: dict[tuple[float, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[(row.noise, row.setting, row.method)].append(row)
    head = [
        "noise",
        "setting",
        "method",
        "image AUROC",
        "pixel AUROC",
        "PRO",
        "AP",
        "build s",
        "score s",
        "rows",
        "questions",
    ]
    lines = []
    for (noise, setting, method), group in sorted(groups.items()):
        figures = [
            _over_categories(group, value)
            for value in (
                lambda row: row.image_auroc,
                lambda row: row.pixel_auroc,
                lambda row: row.pro,
                lambda row: row.average_precision,
            )
        ]
        seconds = [f"{mean(row.build_seconds for row in group):.1f}", f"{mean(row.score_seconds for row in group):.1f}"]
        lines.append([f"{noise:g}", setting, method, *figures, *seconds, str(len(group)), _questions(group)])
    return table(head, lines)


def _questions(rows: Sequence[Row]) -> str:
    """How many questions the windows raise together, and how many were answered; empty where nobody counted them."""
    if any(row.questions is None for row in rows):
        return ""
    asked = [question for row in rows for question in row.questions or ()]
    answered = sum(question.answer is not None for question in asked)
    return f"{len(asked)}, {answered} answered" if answered else str(len(asked))


def _over_categories(rows: Sequence[Row], value: Callable[[Row], float | None]) -> str:
    by_category: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        measured = value(row)
        if measured is not None:
            by_category[row.category].append(measured)
    return f"{mean(mean(values) for values in by_category.values()):.3f}" if by_category else ""


def _differences(
    rows: Sequence[Row], scores: Mapping[RowKey, FrameScores], truths: Mapping[str, Sequence[bool]]
) -> str:
    """Ours less each compared method's, where both were run on the same windows."""
    lines = []
    for noise, setting in sorted({(row.noise, row.setting) for row in rows}):
        for other_method in COMPARED_WITH:
            compared = _difference(
                [r for r in rows if (r.noise, r.setting) == (noise, setting)], other_method, scores, truths
            )
            if compared is not None:
                interval = f"{compared.low:+.3f} to {compared.high:+.3f}"
                lines.append([f"{noise:g}", setting, other_method, f"{compared.mean:+.3f}", interval])
    return table(["noise", "setting", "against", "difference", "90 % interval"], lines) if lines else ""


def _difference(
    rows: Sequence[Row], other_method: str, scores: Mapping[RowKey, FrameScores], truths: Mapping[str, Sequence[bool]]
) -> PairedDifference | None:
    own = {(row.category, row.seed): row.key for row in rows if row.method == OURS}
    other = {(row.category, row.seed): row.key for row in rows if row.method == other_method}
    shared = sorted(own.keys() & other.keys())
    pairs = []
    for category in _unique(category for category, _ in shared):
        ours = [scores[own[each]] for each in shared if each[0] == category]
        theirs = [scores[other[each]] for each in shared if each[0] == category]
        frames = np.arange(len(truths[category]))
        pairs.append(
            Paired(
                first=np.array([line.scores for line in ours], float),
                second=np.array([line.scores for line in theirs], float),
                tested=np.array([np.isin(frames, line.tested) for line in ours]),
                defective=np.array(truths[category], bool),
            )
        )
    return difference(pairs, resamples=RESAMPLES, seed=0) if pairs else None


def _published_table() -> str:
    return table(["method", "backbone", "no overlap", "overlap"], PUBLISHED_SCREW)
