"""Run one `patchline evaluate`: check the request, measure what is missing, write the report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deploy.errors import UsageError
from deploy.evaluation.calibration_study import CalibrationRequest, EvaluatedLine, run_calibration
from deploy.evaluation.embedding_cache import EmbeddingCache
from deploy.evaluation.ledger import Ledger
from deploy.evaluation.methods.methods import METHODS
from deploy.evaluation.plot import plot
from deploy.evaluation.protocol.split import LARGEST_NOISE, Setting, split
from deploy.evaluation.results.calibration_rows import calibration_report
from deploy.evaluation.results.report import report as markdown
from deploy.evaluation.study import Category, StudyPlan, run_task, tasks
from ingest.cameras.parts import VARIANTS
from softpatch.images.folders import read_folder
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import EMBEDDED, Graph, InvalidGraph, embedded, load_graph
from softpatch.settings import FAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

    from deploy.evaluation.results.calibration_rows import CalibrationRow
    from deploy.evaluation.study import Task
    from ingest.cameras.parts import Variant

DEFAULT_METHODS = ("patchline", "softpatch-lof", "patchcore", "clean-patchcore")
BEGIN, END = "<!-- evaluate: begin -->", "<!-- evaluate: end -->"
CALIBRATION_MARKS = ("<!-- calibration: begin -->", "<!-- calibration: end -->")


@dataclass(frozen=True)
class CalibrationOptions:
    """What `--calibration` adds to a request."""

    simulated: tuple[str, ...] = ()
    in_time: bool = False
    every: int = 1
    fast: bool = False


@dataclass(frozen=True)
class Request:
    """The command line of `patchline evaluate`; an empty tuple means the default."""

    folders: tuple[Path, ...]
    out: Path
    methods: tuple[str, ...]
    settings: tuple[str, ...]
    noises: tuple[float, ...]
    seeds: tuple[int, ...]
    backbones: tuple[str, ...]
    cache: Path
    json_file: Path | None
    report: Path | None
    export: str | None
    calibration: CalibrationOptions | None = None


def run_request(request: Request) -> None:
    """Run what the ledger lacks, then write report, plot and JSON. Raises UsageError for what cannot be."""
    if request.calibration is not None:
        calibrate(request, request.calibration)
        return
    plan = plan_of(request)
    if not request.folders:
        raise UsageError("name at least one folder of inspection images")
    categories = [category_of(folder) for folder in request.folders]
    ledger = Ledger(request.out)
    caches = {graph.name: cache_of(graph, request.cache) for graph in map(graph_of, request.backbones)}
    if request.export is not None:
        _export(categories, plan, caches, request)
        return
    left = {name: tasks(categories, name, plan, ledger.done()) for name in caches}
    _run_all(left, caches, ledger)
    _write_results(request, categories, ledger)


def calibrate(request: Request, options: CalibrationOptions) -> None:
    """Asked against observed false rejects. Raises UsageError for what cannot be."""
    if request.methods or request.settings or request.export:
        raise UsageError("--calibration measures the product's default: leave out --method, --setting and --export")
    if not request.folders and not options.simulated:
        raise UsageError("--calibration needs a folder of inspection images or --simulated")
    _refuse_unknown("simulated", options.simulated, VARIANTS)
    calibration = CalibrationRequest(
        categories=tuple(category_of(folder) for folder in request.folders),
        simulated=cast("tuple[Variant, ...]", options.simulated),
        noises=request.noises or (0.0, 0.1),
        seeds=request.seeds or (0,),
        out=request.out,
        in_time=options.in_time,
        fast=options.fast,
        line=EvaluatedLine(every=options.every),
    )
    rows: list[CalibrationRow] = []
    for graph in map(graph_of, request.backbones):
        rows = run_calibration(calibration, cache_of(graph, request.cache), graph.name)
    if request.report is not None:
        request.report.write_text(between(request.report, calibration_report(rows), CALIBRATION_MARKS))
    if request.json_file is not None:
        request.json_file.write_text(as_json(rows))


def plan_of(request: Request) -> StudyPlan:
    """The request with its defaults. Raises UsageError for an unknown method or setting, or a noise out of range."""
    methods = request.methods or DEFAULT_METHODS
    settings = request.settings or ("overlap", "no-overlap")
    _refuse_unknown("method", methods, METHODS)
    _refuse_unknown("setting", settings, get_args(Setting))
    noises = request.noises or (0.1,)
    if wrong := [noise for noise in noises if not 0 <= noise <= LARGEST_NOISE]:
        raise UsageError(f"--noise {wrong[0]} is outside 0 to {LARGEST_NOISE}")
    if request.export not in (None, "embeddings"):
        raise UsageError(f"--export {request.export}: only embeddings can be exported")
    return StudyPlan(tuple(methods), cast("tuple[Setting, ...]", tuple(settings)), noises, request.seeds or (0,))


def _refuse_unknown(what: str, names: Sequence[str], known: Iterable[str]) -> None:
    choices = list(known)
    if wrong := [name for name in names if name not in choices]:
        raise UsageError(f"--{what} {wrong[0]} is unknown; choose from {', '.join(choices)}")


def category_of(folder: Path) -> Category:
    """A category named by its folder and the folder above. Raises UsageError where it cannot be evaluated."""
    try:
        images = read_folder(folder).images
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not any(image.split == "test" and image.label != "good" for image in images):
        raise UsageError(f"{folder} has no test/<defect type> images: evaluation needs MVTec or BTAD layout")
    where = folder.resolve()
    return Category(dataset=where.parent.name, name=where.name, images=tuple(images))


def graph_of(backbone: str) -> Graph:
    """`lite0`, `lite2`, or an exported graph file. Raises UsageError for a file that is none."""
    if backbone in EMBEDDED:
        return embedded(backbone)
    try:
        return load_graph(Path(backbone))
    except (InvalidGraph, OSError) as error:
        raise UsageError(f"--backbone {backbone}: {error}") from error


def cache_of(graph: Graph, folder: Path) -> EmbeddingCache:
    """Embeddings by this graph, as the fast default looks at frames until a window chooses otherwise."""
    return EmbeddingCache(folder, OnnxEmbedder.open(graph), FAST)


def _run_all(left: dict[str, list[Task]], caches: dict[str, EmbeddingCache], ledger: Ledger) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("evaluate", total=sum(len(task.methods) for each in left.values() for task in each))
        for backbone, each in left.items():
            for task in each:
                where = (
                    f"{backbone} {task.category.name} noise {task.noise:g} seed {task.seed} {'+'.join(task.settings)}"
                )

                def begin(method: str, where: str = where) -> None:
                    progress.update(bar, description=f"{where}: {method}")

                def finish() -> None:
                    progress.advance(bar)

                run_task(task, caches[backbone], ledger, clock=time.perf_counter, begin=begin, finish=finish)


def _write_results(request: Request, categories: Sequence[Category], ledger: Ledger) -> None:
    rows = ledger.rows()
    truths = {
        category.name: [image.label != "good" for image in category.images if image.split == "test"]
        for category in categories
    }
    shown = [row for row in rows if row.category in truths]
    text = markdown(shown, ledger.scores(), truths)
    (request.out / "report.md").write_text(text)
    plot(shown, request.out / "auroc-against-noise.png")
    if request.report is not None:
        request.report.write_text(between_marks(request.report, text))
    if request.json_file is not None:
        request.json_file.write_text(as_json(shown))
    Console(stderr=True).print(f"{len(shown)} rows; report and plot are in {request.out}")


def as_json(rows: Sequence[BaseModel]) -> str:
    """A JSON array, one row a line."""
    return "[\n" + ",\n".join(row.model_dump_json() for row in rows) + "\n]\n"


def between_marks(path: Path, text: str) -> str:
    """The file with `text` between its evaluate marks. Raises UsageError where it has none."""
    return between(path, text, (BEGIN, END))


def between(path: Path, text: str, marks: tuple[str, str]) -> str:
    """The file with `text` between two marks; a new file is made of them. Raises UsageError where it has none."""
    first, last = marks
    whole = path.read_text() if path.exists() else f"{first}\n{last}\n"
    head, begin, rest = whole.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise UsageError(f"{path} has no lines {first} and {last} to write between")
    return f"{head}{begin}\n\n{text}\n{end}{tail}"


def _export(
    categories: Sequence[Category], plan: StudyPlan, caches: dict[str, EmbeddingCache], request: Request
) -> None:
    """Per category, backbone, noise and seed one `.npz`: window, injected, test, defective; setting overlap."""
    request.out.mkdir(parents=True, exist_ok=True)
    for backbone, cache in caches.items():
        for category in categories:
            for noise in plan.noises:
                for seed in plan.seeds:
                    drawn = split(category.images, noise=noise, setting="overlap", seed=seed)
                    injected = set(drawn.injected)
                    path = request.out / f"{category.dataset}-{category.name}-{backbone}-noise{noise:g}-seed{seed}.npz"
                    np.savez(
                        path,
                        window=np.concatenate(list(cache.batches(drawn.window))),
                        injected=np.array([image in injected for image in drawn.window]),
                        test=np.concatenate(list(cache.batches(drawn.test))),
                        defective=np.array([image.label != "good" for image in drawn.test]),
                    )
                    Console(stderr=True).print(f"wrote {path}")
