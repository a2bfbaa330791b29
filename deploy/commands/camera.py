"""`patchline camera`: a folder, the simulator or a video file as a camera that sends to Kafka."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from prometheus_client import CollectorRegistry
from rich.console import Console

from deploy.commands.options import Bootstrap, SetFlags, SettingsFile, load
from deploy.errors import UsageError
from deploy.local_stack.sending import stream
from deploy.output.progress import ProgressDisplay
from deploy.process.service import begin_service
from ingest.cameras.faults import Interruption
from ingest.cameras.folder import open_folder
from ingest.cameras.parts import VARIANTS
from ingest.cameras.simulator import Simulator
from ingest.cameras.source import CameraFrame
from ingest.cameras.video import VideoCamera
from ingest.view import view_name
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_camera

Key = Annotated[str, typer.Argument(metavar="LINE/CAMERA", help="The key of its frames, as line-1/camera-1.")]
Folder = Annotated[Path | None, typer.Option("--folder", metavar="DIR", help="Send the pictures of a folder.")]
Video = Annotated[Path | None, typer.Option("--video", metavar="FILE", help="Send the frames of a video file.")]
Simulate = Annotated[
    str | None, typer.Option("--simulate", metavar="PART", help="Send simulated parts: ring, bracket or gear.")
]
Rate = Annotated[float, typer.Option("--rate", min=0, help="Frames a second; 0: as fast as the broker takes them.")]
Frames = Annotated[
    int | None, typer.Option("--frames", min=1, help="Stop after so many. [dim]Without it: after all there are.[/]")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the simulator.")]
Defects = Annotated[float, typer.Option("--defects", min=0, max=1, help="Simulated parts that are defective.")]
Product = Annotated[str | None, typer.Option("--product", help="Product header: makes the view line/camera@product.")]

Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--fault", metavar="KIND:FIRST:COUNT", help="As black:100:30; also overexposed, frozen. May be repeated."
    ),
]

SILENCE_SECONDS = 60.0
"""A camera that sends nothing for so long is not well."""

MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics, /healthz and /readyz there.")
]
MetricsHost = Annotated[str, typer.Option("--metrics-host", help="The address that the metrics port is opened on.")]


def camera(
    *,
    key: Key,
    folder: Folder = None,
    video: Video = None,
    simulate: Simulate = None,
    rate: Rate = 15.0,
    frames: Frames = None,
    seed: Seed = 0,
    defects: Defects = 0.1,
    product: Product = None,
    faults: Faults = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Send frames to Kafka as a camera would.

    Choose one of --folder, --video and --simulate. Ctrl-C or SIGTERM ends it well: the frames it counts are in the
    topic.
    """
    if sum(source is not None for source in (folder, video, simulate)) != 1:
        raise UsageError("choose one of --folder DIR, --video FILE and --simulate PART")
    view_name(key, product)  # a name that is none is reported before a broker is needed
    loaded = load(settings, flags, bootstrap=bootstrap)
    source = source_of(folder=folder, video=video, simulate=simulate, frames=frames, seed=seed, defects=defects)
    for fault in faults or ():
        source = _interrupted(source, fault)
    stop = begin_service("camera")  # the frames that are on their way arrive, and are counted
    registry = CollectorRegistry()
    heartbeat = Heartbeat(limit_seconds=SILENCE_SECONDS, clock=time.monotonic)
    sending = stream(
        loaded.kafka,
        key,
        takewhile(lambda _: not stop.is_set(), source),
        rate_per_second=rate or None,
        product=product,
        start=uuid4(),
        metrics=declare_camera(registry),
    )
    with ExitStack() as stack:
        if metrics_port is not None:
            ready = partial(Readiness, ready=True, sentence=f"Ready: sending {key}.")
            stack.enter_context(
                HealthServer(registry=registry, heartbeat=heartbeat, ready=ready, port=metrics_port, host=metrics_host)
            )
        _send(sending, heartbeat, words=f"Sending {key}", frames=frames)


def _send(sending: Iterable[CameraFrame], heartbeat: Heartbeat, *, words: str, frames: int | None) -> None:
    console, begun, sent = Console(), time.monotonic(), 0
    with ProgressDisplay(console).counted(words, frames or 0) as step:
        for _ in sending:
            sent += 1
            heartbeat.beat()
            step.advance()
    seconds = time.monotonic() - begun
    console.print(f"{sent} frames in {seconds:.1f} s ({sent / max(seconds, 1e-9):.1f} a second)", highlight=False)


def _interrupted(source: Iterable[CameraFrame], text: str) -> Iterable[CameraFrame]:
    """A source with a fault among its frames. Raises UsageError where the text names none."""
    try:
        return Interruption.parse(text).over(source)
    except ValueError as error:
        raise UsageError(f"--fault {error}") from None


def source_of(
    *, folder: Path | None, video: Path | None, simulate: str | None, frames: int | None, seed: int, defects: float
) -> Iterable[CameraFrame]:
    """The source that the options name. Raises UsageError for a part that is none."""

    def clock() -> datetime:
        return datetime.now(UTC)

    if folder is not None:
        return islice(open_folder(folder, clock=clock), frames)
    if video is not None:
        return islice(VideoCamera(video, clock=clock), frames)
    for variant in VARIANTS:
        if variant == simulate:
            return Simulator(variant, seed=seed, clock=clock, frames=frames, defect_ratio=defects)
    raise UsageError(f"--simulate {simulate} is none of {', '.join(VARIANTS)}")
