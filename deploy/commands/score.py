"""`patchline score`: pictures scored by a bank file, without Kafka."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from deploy.commands.options import BankFile, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.offline.score_files import ScoreRow, pictures_among, score_files
from deploy.offline.score_image import ImageScorer, ScoredImage
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.output.score_rows import RowFormat, lines_of
from deploy.pictures.overlay import render_overlay
from deploy.settings import Settings
from ingest.decision import Reason, Verdict
from softpatch.bank import InvalidBank
from softpatch.images.decode import UndecodableImage

Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGE|DIR...", help="JPEG, PNG, BMP or TIFF; of a folder, the pictures that `build` finds."
    ),
]
Overlay = Annotated[
    Path | None, typer.Option("--overlay", metavar="PNG", help="Write the one picture under its heat map there.")
]
Format = Annotated[RowFormat | None, typer.Option("--format", help="A row for each picture, as CSV or JSON lines.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the rows there; a .csv or .jsonl file."),
]

COLOURS = {Verdict.FAIL: "red", Verdict.PASS: "green", Verdict.UNDECIDED: "yellow"}


def score(
    *,
    images: Images,
    bank: BankFile,
    overlay: Overlay = None,
    row_format: Format = None,
    out: Out = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Score pictures: score, threshold, verdict, and where they look wrong.

    Several pictures, or a folder, are scored in one go, a row for each. A black or over-exposed picture is decided by
    `input_fault` of its view, as on a line. Exit code 1 where a picture could not be scored; a fail is no error.
    """
    row_format = row_format or _format_of(out)
    one = images[0] if len(images) == 1 and row_format is None and not images[0].is_dir() else None
    if overlay is not None and one is None:
        raise UsageError("--overlay draws one picture: name one file, without --format and --out")
    loaded = load(settings, flags)
    if one is not None:
        write_json(json, _score_one(one, bank, loaded, overlay))
        return
    rows = _score_many(images, bank, loaded, row_format, out)
    write_json(json, {"bank": str(bank), "images": [row.to_json() for row in rows]})
    if failed := sum(row.error is not None for row in rows):
        raise CommandFailed(f"{failed} of {len(rows)} pictures could not be scored; their rows say why")


def _score_one(image: Path, bank: Path, loaded: Settings, overlay: Path | None) -> dict[str, object]:
    """Score a picture for a person; the JSON document."""
    encoded = _read(image)
    scorer = _scorer(bank, loaded)
    try:
        scored = scorer.score(encoded)
    except UndecodableImage as error:
        raise CommandFailed(f"{image}: {error}") from None
    _print(Console(), scored)
    if overlay is not None:
        write_picture(overlay, render_overlay(scored))
        Console().print(f"Heat map: [bold]{overlay}[/]", soft_wrap=True)
    return {"image": str(image), "bank": str(bank), **scored.to_json()}


def _score_many(
    images: list[Path], bank: Path, loaded: Settings, row_format: RowFormat | None, out: Path | None
) -> list[ScoreRow]:
    """Score pictures in order, and write a row for each as soon as it is known."""
    pictures, rows = pictures_among(images), list[ScoreRow]()
    scorer = _scorer(bank, loaded)
    with _output(out) as file:
        for line in lines_of(_kept(score_files(pictures, scorer), rows), row_format):
            print(line, file=file, flush=True)
    return rows


def _format_of(out: Path | None) -> RowFormat | None:
    """The format that a file name ends in. Raises UsageError where it ends in none."""
    if out is None:
        return None
    try:
        return RowFormat(out.suffix.removeprefix("."))
    except ValueError:
        raise UsageError(f"--out {out} has no known format: name a .csv or .jsonl file, or give --format") from None


def _scorer(bank: Path, loaded: Settings) -> ImageScorer:
    try:
        return ImageScorer.of(_read(bank), loaded)
    except InvalidBank as error:
        raise CommandFailed(f"{bank}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None


def _kept(rows: Iterator[ScoreRow], kept: list[ScoreRow]) -> Iterator[ScoreRow]:
    """The rows as they pass, which are counted, and written as JSON, in the end."""
    for row in rows:
        kept.append(row)
        yield row


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO | None]:
    """The file for the rows; None is the terminal. Raises CommandFailed where it cannot be written."""
    if out is None:
        yield None
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = out.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot write {out}: {error.strerror}; name a file in a folder you may write to") from None
    with file:
        yield file


def _print(console: Console, scored: ScoredImage) -> None:
    verdict = scored.ruling.verdict
    console.print(
        f"[bold {COLOURS[verdict]}]{verdict.value.upper()}[/]  score {scored.score:.4g}, "
        f"threshold {scored.threshold:.4g}, ratio {scored.ratio:.2f}",
        highlight=False,
    )
    if scored.ruling.reason is Reason.NO_PART:
        console.print("  no part in the picture, as a person said of pictures like it", highlight=False)
    if scored.input_fault is not None:
        console.print(f"  input fault: {scored.input_fault.value}; the picture shows nothing to judge", highlight=False)
    for box, peak in scored.regions:
        console.print(
            f"  x {box[0]} to {box[2]}, y {box[1]} to {box[3]} px: {peak / scored.threshold:.2f}", highlight=False
        )
