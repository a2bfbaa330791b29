"""`patchline evaluate`: the paper's protocol on folders of inspection images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.evaluation.command import CalibrationOptions, Request, run_request

Calibration = Annotated[
    bool, typer.Option("--calibration", help="Requested against observed false rejects, instead of methods.")
]
InTime = Annotated[
    bool,
    typer.Option("--in-time", help="With --calibration: learn from train in name order, test what came later."),
]


def evaluate(  # noqa: PLR0917 -- typer's parameters are the command line
    out: Annotated[Path, typer.Option(help="Folder for rows, scores, report and plot; a run there is resumed.")],
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR...", help="Categories in MVTec or BTAD layout.", show_default=False),
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: the four that matter.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: overlap, no-overlap.")] = None,
    noise: Annotated[list[float] | None, typer.Option(help="May be repeated. Default: 0.1.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="May be repeated. Default: 0.")] = None,
    backbone: Annotated[
        list[str] | None, typer.Option(help="lite0, lite2 or an exported .onnx file. May be repeated. Default: lite0.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder where embeddings are kept.")] = Path("patchline-embeddings"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows of this call as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="A Markdown file whose part between the evaluate marks is written anew.")
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="embeddings: write each window's and test set's embeddings, and run nothing.")
    ] = None,
    *,
    calibration: Calibration = False,
    simulated: Annotated[
        list[str] | None,
        typer.Option(help="With --calibration: ring, bracket or gear, a simulated line of 11,000 parts. Repeatable."),
    ] = None,
    in_time: InTime = False,
    every: Annotated[
        int, typer.Option(min=1, help="With --simulated: of each N times 250 good frames, the first 250 are tested.")
    ] = 1,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="With --calibration: folders at 224 x 224 px, in place of the input that each window chooses.",
        ),
    ] = False,
) -> None:
    """Measure methods on contaminated windows, as the paper does.

    Noise is injected defective frames over good frames. Overlap tests the injected frames too, no-overlap does not.
    """
    run_request(
        Request(
            folders=tuple(folders or ()),
            out=out,
            methods=tuple(method or ()),
            settings=tuple(setting or ()),
            noises=tuple(noise or ()),
            seeds=tuple(seed or ()),
            backbones=tuple(backbone or ("lite0",)),
            cache=cache,
            json_file=json_file,
            report=report,
            export=export,
            calibration=CalibrationOptions(tuple(simulated or ()), in_time, every, fast) if calibration else None,
        )
    )
