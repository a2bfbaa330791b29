"""`patchline demo`: a whole line on this machine, in about two minutes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags
from deploy.demo.plan import Plan, overlap, simulated
from deploy.demo.report import DemoReport
from deploy.demo.run import Demo, run_demo
from deploy.errors import CommandFailed, UsageError
from deploy.local_stack.embedded_broker import broker_program
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from ingest.cameras.folder import FolderCamera
from ingest.cameras.lighting import Lighting
from ingest.cameras.simulator import Simulator
from softpatch.images.folders import read_folder

Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Real images in MVTec layout. [dim]Without it: simulated parts.[/]"),
]
Noise = Annotated[float, typer.Option("--noise", min=0, max=1, help="Defective frames per good one in the window.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Chooses frames and order.")]
WindowFrames = Annotated[int, typer.Option("--window", min=6, help="Simulated frames to learn from.")]
RestFrames = Annotated[int, typer.Option("--frames", min=1, help="Simulated frames to decide.")]
Rate = Annotated[
    float, typer.Option("--rate", min=0, help="Frames a second that the camera sends; 0: as fast as they are decided.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the picture, bank and logs of the run go.")]
Keep = Annotated[bool, typer.Option("--keep", help="Stay up when all is decided, until Ctrl-C.")]
VARIANT: Literal["gear"] = "gear"


def demo(
    *,
    images: Images = None,
    noise: Noise = 0.1,
    seed: Seed = 0,
    window: WindowFrames = 120,
    frames: RestFrames = 240,
    rate: Rate = 15.0,
    out: Out = Path("patchline-demo"),
    keep: Keep = False,
    json: JsonFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Watch a line learn from unfiltered frames and decide the rest.

    Starts a broker in memory, a camera, a trainer and an inspection, each a process of its own. About one frame in ten
    of the window is defective, and none is marked. With --images, the window is train/good plus noise x good
    defective test frames, and then every test frame is decided, the injected ones included.

    Exit code 1 where a frame was lost or decided twice.
    """
    if bootstrap is None:
        broker_program()  # where the demo extra is missing, it ends before frames are drawn
    console = Console()
    progress = ProgressDisplay(console)
    with progress.step("Preparing frames"):
        plan = _folder_plan(images, noise, seed) if images else _simulated_plan(noise, seed, window, frames)
    prefix = f"patchline-demo-{uuid4().hex[:8]}." if bootstrap else ""
    options = Demo(plan, out, rate or None, flags or (), bootstrap, prefix, keep)

    def started(address: str, password: str) -> None:
        console.print(f"Console: [bold]{address}[/]  (to answer, sign in as demo, password {password})", soft_wrap=True)

    def reported(report: DemoReport) -> None:
        console.print(figures_table(report, plan, rate_per_second=rate))
        for sentence in report.findings:
            console.print(sentence, soft_wrap=True, highlight=False, markup=False)
        console.print(f"Contact sheet: [bold]{report.contact_sheet}[/]", soft_wrap=True)
        write_json(json, report.to_json())
        if keep:
            console.print("The line stays up; Ctrl-C ends it.")

    report = run_demo(options, progress, started=started, reported=reported)
    if report.lost or report.doubled:
        raise CommandFailed(
            f"{report.lost} frames lost, {report.doubled} decided more than once; the logs are in {out}"
        )


def figures_table(report: DemoReport, plan: Plan, *, rate_per_second: float) -> Table:
    """The figures of a run, for people."""
    pace = f" (camera: {rate_per_second:g})" if rate_per_second else ""
    table = Table(title=f"{plan.about}: {report.frames} frames decided", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = {
        "decisions / dead letters": f"{report.decisions} / {report.dead_letters}",
        "undecided": str(report.undecided),
        "lost / doubled": f"{report.lost} / {report.doubled}",
        "image AUROC": _number(report.image_auroc, "{:.3f}"),
        "good parts rejected": _number(report.false_reject_ratio, "{:.1%}"),
        "defective parts missed": _number(report.miss_ratio, "{:.1%}"),
        f"frames per second{pace}": f"{report.frames_per_second:.1f}",
        "latency p50 / p99": " / ".join(map(_milliseconds, (report.latency_p50_seconds, report.latency_p99_seconds))),
        "bank": f"{report.bank_patches} patches from {len(plan.window)} frames in {report.build_seconds:.1f} s",
        "threshold": f"{report.threshold:.4g}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _number(value: float | None, shape: str) -> str:
    return "unknown" if value is None else shape.format(value)


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{1000 * seconds:.0f} ms"


def _simulated_plan(noise: float, seed: int, window: int, frames: int) -> Plan:
    # A threshold holds for what the window has seen: it sees the lamp go to and fro once.
    lighting = Lighting(drift_period_frames=window)
    source = Simulator(VARIANT, seed=seed, clock=lambda: datetime.now(UTC), defect_ratio=noise, lighting=lighting)
    return simulated(source, window=window, rest=frames, about=f"Simulated {VARIANT}s")


def _folder_plan(images: Path, noise: float, seed: int) -> Plan:
    layout = read_folder(images)
    if layout.kind != "mvtec" or not layout.train or not layout.test:
        raise UsageError(f"{images} is not in MVTec layout: it needs train/good and test/<type>")
    train, test = (list(FolderCamera(part, clock=lambda: datetime.now(UTC))) for part in (layout.train, layout.test))
    return overlap(train, test, noise=noise, seed=seed, about=images.resolve().name)
