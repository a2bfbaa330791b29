"""The `patchline` command: a file of `deploy.commands` for every group; heavy modules load when one runs."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from deploy.commands import (
    bank,
    bench,
    build,
    camera,
    dead_letters,
    decisions,
    demo,
    evaluate,
    explain,
    score,
    services,
    threshold,
    topics,
    up,
    watch,
)
from deploy.errors import command_error_of

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="patchline",
    help="Pass or fail for every frame of a production line, learned from the line's own unfiltered frames.",
    epilog="Exit codes: 0 went well, 1 failed, 2 wrong use.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)

TRY = "Try it"
RUN = "Run it"
WITHOUT = "Without Kafka"


def _add(name: str, command: Callable[..., None], panel: str) -> None:
    """A command with its docstring as help, each paragraph one line: typer keeps line breaks as they are."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    app.command(name, help=text, rich_help_panel=panel)(command)


_add("demo", demo.demo, TRY)
_add("bench", bench.bench, TRY)
_add("up", up.up, RUN)
_add("train", services.train, RUN)
_add("inspect", services.inspect, RUN)
_add("watch", watch.watch, RUN)
_add("camera", camera.camera, RUN)
app.add_typer(topics.app, name="topics", rich_help_panel=RUN)
app.add_typer(bank.app, name="bank", rich_help_panel=RUN)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=RUN)
_add("decisions", decisions.decisions, RUN)
_add("threshold", threshold.threshold, RUN)
_add("build", build.build, WITHOUT)
_add("score", score.score, WITHOUT)
_add("explain", explain.explain, WITHOUT)
_add("evaluate", evaluate.evaluate, WITHOUT)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- typer calls it with the flag
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 -- only this flag needs it

        typer.echo(f"patchline {version('patchline')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def patchline(
    context: typer.Context,
    *,
    version: bool = typer.Option(  # noqa: ARG001 -- its callback acts on it
        False, "--version", callback=_show_version, is_eager=True, help="Say which release."
    ),
) -> None:
    """Pass or fail for every frame of a production line, learned from the line's own unfiltered frames."""
    if context.invoked_subcommand is None:
        welcome(Console(), settings_here=Path("patchline.yaml").exists())
        return
    from deploy.process.logs import configure_logs  # noqa: PLC0415 -- a bare `patchline` logs nothing

    configure_logs(context.invoked_subcommand, quiet=True)  # services turn their logs up


def welcome(console: Console, *, settings_here: bool) -> None:
    """Tell a newcomer, or somebody in a set-up folder, the next step."""
    steps = Table.grid(padding=(0, 3))
    steps.add_row("[bold cyan]patchline demo[/]", "a whole line on this machine in two minutes; needs no cluster")
    steps.add_row("[bold cyan]patchline build DIR --out FILE[/]", "a bank from a folder of your own pictures")
    steps.add_row("[bold cyan]patchline score IMAGE --bank FILE[/]", "what that bank says of one picture")
    up_says = "the services, as the patchline.yaml here says" if settings_here else "the services, on your own Kafka"
    steps.add_row("[bold cyan]patchline up[/]", up_says)
    steps.add_row("[bold cyan]patchline --help[/]", "everything else")
    first = "patchline up" if settings_here else "patchline demo"
    console.print(Panel(steps, title=f"Patchline: start with [bold]{first}[/]", title_align="left", padding=(1, 2)))


def main() -> None:
    """Entry point: run a command, and end with one sentence and an exit code where it cannot go on."""
    try:
        app(prog_name="patchline")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        fault = command_error_of(error)
        if fault is None:
            raise  # a fault of ours: the traceback is what helps
        say_fault(str(fault))
        sys.exit(fault.exit_code)


def say_fault(sentence: str) -> None:
    """One sentence to stderr."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(
        f"[bold red]patchline:[/] {_plain(sentence)}", highlight=False
    )


def _plain(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415 -- only on the way out

    return escape(text)


if __name__ == "__main__":
    main()
