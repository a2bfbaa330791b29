"""`patchline bench`: how fast this machine is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from deploy.bench.run import Bench, run_bench
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, load
from deploy.errors import UsageError
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from deploy.wiring import embedder_of

Frames = Annotated[int, typer.Option("--frames", min=64, help="Frames of each measurement through the broker.")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, help="Frames a second where latency is measured.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the simulated frames.")]
WithBuild = Annotated[bool, typer.Option("--with-build", help="Measure latency beside a running build, too.")]
AgainstPublished = Annotated[
    bool,
    typer.Option(
        "--against-published", help="Instead of all that: this pipeline and the published one, on the same frames."
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the logs of the run go.")]


def bench(
    *,
    frames: Frames = 600,
    rate: Rate = 15.0,
    with_build: WithBuild = False,
    against_published: AgainstPublished = False,
    seed: Seed = 0,
    out: Out = Path("patchline-bench"),
    json: JsonFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Measure this machine: frames a second, latency, and a build.

    Decisions in process and through a broker, and a build of 400 frames. Frames are simulated, 512 px, JPEG. Latency
    goes from the camera's send to the committed decision, as a read_committed reader sees it. With --bootstrap-servers
    the topics of the run stay on that cluster, under a prefix of their own.

    With --against-published a bank of 100 frames is built by the paper's settings, by SoftPatch as published and by
    Patchline, and 20 frames are scored one at a time. It needs the extras export and evaluate, and the paper's network
    with random weights: --set runtime.backbone=FILE (docs/performance.md).
    """
    console = Console()
    if against_published:
        compared = _against_published(flags, seed, ProgressDisplay(console))
        console.print(comparison_table(compared))
        write_json(json, compared)
        return
    prefix = f"patchline-bench-{uuid4().hex[:8]}." if bootstrap else ""
    options = Bench(out, frames, rate, seed, with_build, flags or (), bootstrap, prefix)
    measured = run_bench(options, ProgressDisplay(console))
    console.print(figures_table(measured))
    write_json(json, measured)


def _against_published(flags: SetFlags, seed: int, progress: ProgressDisplay) -> dict[str, object]:
    try:
        from deploy.bench.against_published import compare_with_published  # noqa: PLC0415 -- the export extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is missing; the published pipeline needs it: pip install 'patchline[export,evaluate]'"
        ) from error
    runtime = load(None, flags).runtime
    return compare_with_published(embedder_of(runtime), threads=runtime.threads, seed=seed, progress=progress)


def comparison_table(measured: dict[str, Any]) -> Table:
    """Both pipelines side by side, for people."""
    ours, theirs = measured["patchline"], measured["published"]
    patches, dimension = measured["bank"]
    table = Table(
        title=_processor(measured["machine"]),
        caption=f"{measured['graph']} on {measured['provider']}, {measured['threads']} threads, load before "
        f"{measured['machine']['load_before']}; {measured['input_px'][0]} x {measured['input_px'][1]} px, bank "
        f"{patches} x {dimension}; correlation of the {measured['frames_alone']} frames' scores "
        f"{measured['score_correlation']:.4f}, their embeddings differ by at most "
        f"{100 * measured['embedding_difference']:.2g} %",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column()
    for name in ("as published", "Patchline", "times faster"):
        table.add_column(name, justify="right")
    for words, group, name in (
        (f"build of {measured['frames']} frames", "build_seconds", "whole"),
        ("  network", "build_seconds", "embedding"),
        ("  LOF", "build_seconds", "lof"),
        ("  coreset", "build_seconds", "coreset"),
        ("a frame alone", "frame_seconds", "whole"),
        ("  network", "frame_seconds", "network"),
        ("  search", "frame_seconds", "search"),
    ):
        before, now = theirs[group][name], ours[group][name]
        table.add_row(words, _seconds(before), _seconds(now), f"{before / now:.1f}")
    return table


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _processor(machine: dict[str, Any]) -> str:
    return f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['cpu_flags'])}"


def figures_table(measured: dict[str, Any]) -> Table:
    """The measurements, for people."""
    machine = measured["machine"]
    table = Table(
        title=_processor(machine),
        caption=f"{measured['provider']} {measured['precision']}, broker {measured['broker']}, load before "
        f"{machine['load_before']}; threads: "
        + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in measured["threads"].items()),
        title_justify="left",
        caption_justify="left",
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in _rows(measured):
        table.add_row(name, value)
    return table


def _rows(measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    bank = f"{measured['bank_patches']} x {measured['bank_dimension']}"
    alone, stages = measured["in_process"], measured["in_process"]["stage_seconds"]
    yield "bank, input", (f"{bank}, {measured['input_px'][0]} x {measured['input_px'][1]} px")
    yield "in process", (f"{alone['frames_per_second']:.1f} frames/s")
    yield "  of which", (", ".join(f"{name} {1000 * spent:.2f} ms" for name, spent in stages.items()))
    yield "through the broker", (f"{measured['stream']['frames_per_second']:.1f} frames/s")
    for name, words in (("latency", "latency"), ("latency_with_build", "latency beside a build")):
        if name in measured:
            yield f"{words}, {measured[name]['rate_per_second']:g}/s", _latency(measured[name])
    yield f"build of {measured['build_frames']} frames", f"{measured['build_seconds']:.1f} s"


def _latency(measured: dict[str, Any]) -> str:
    return f"p50 {1000 * measured['p50_seconds']:.0f} ms, p99 {1000 * measured['p99_seconds']:.0f} ms"
