"""The `patchline` command: the table of its commands, and how a command ends."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from typer.core import TyperGroup

from deploy.errors import command_error_of
from deploy.lazy_commands import CommandEntry, GroupEntry, command_of, imported

if TYPE_CHECKING:
    from collections.abc import Sequence

TRY = "Try it"
RUN = "Run it"
WITHOUT = "Without Kafka"


def _command(name: str, function: str, summary: str, panel: str | None = None) -> CommandEntry:
    return CommandEntry(name, f"deploy.commands.{function}", summary, panel)


DOCTOR = "Check broker, topics, rights, store, disks, network, ports and clock, and say what to do."
RESTORE = "Put a backup back, into topics that are empty and where files are missing."
WARM_UP = "Compile what TensorRT needs for the banks in force, so that no inspection waits for it."
QUANTIZE = "Make the network compute in 8-bit integers, which a CPU with VNNI does faster."
LIST_VIEWS = "List the views with their state, and when each last sent a frame that is in its window."
RETIRE_VIEW = "End a view: remove its banks, its window, and what is known of its frames."

COMMANDS = (
    _command("demo", "demo:demo", "Watch a line learn from unfiltered frames and decide the rest.", TRY),
    _command("bench", "bench:bench", "Measure this machine: frames a second, latency, and a build.", TRY),
    _command("up", "up:up", "Run all services on this machine, and start again what dies.", RUN),
    _command("train", "train:train", "Run the trainer: it rebuilds each view's bank from its recent frames.", RUN),
    _command("inspect", "inspect:inspect", "Run the inspection: it decides every frame by the bank in force.", RUN),
    _command("watch", "watch:watch", "Run the drift watch: it reports when a line has changed, and how.", RUN),
    _command("record", "record:record", "Run the recorder: decisions into a database, pictures into the store.", RUN),
    _command("console", "console:console", "Run the console: pages over the history, and buttons for answers.", RUN),
    GroupEntry(
        "users",
        "Who may sign in to the console.",
        (
            _command("list", "users:list_users", "List the accounts and their roles."),
            _command("add", "users:add", "Make an account, or give one another role and password."),
            _command("remove", "users:remove", "Remove an account; whoever uses it is signed out."),
        ),
        RUN,
    ),
    _command("camera", "camera:camera", "Send frames to Kafka as a camera would.", RUN),
    _command("doctor", "doctor:doctor", DOCTOR, RUN),
    _command("warm-up", "warm_up:warm_up", WARM_UP, RUN),
    _command("backup", "backup:backup", "Copy the topics that are kept for ever, and the store.", RUN),
    _command("restore", "backup:restore", RESTORE, RUN),
    GroupEntry(
        "topics",
        "The topics of the stream: make them, look at them.",
        (
            _command("create", "topics:create", "Make the topics that are missing."),
            _command("show", "topics:show", "Show each topic and where it differs from what Patchline needs."),
        ),
        RUN,
    ),
    GroupEntry(
        "bank",
        "Memory banks: list them, look into one, put one in force or back.",
        (
            _command("list", "bank:list_banks", "List the banks in the store, and which of them is in force."),
            _command("show", "bank:show", "Show what a bank was built from and what it decides by."),
            _command("promote", "bank:promote", "Put a bank in force and wait until it is."),
            _command("sign", "bank_sign:sign", "Sign the banks in the store, by the key of trainer.signing_key_file."),
            _command("rollback", "bank:rollback", "Put the previous bank back in force and wait until it is."),
            _command("diff", "bank_diff:diff", "Show what two banks of a view see differently."),
            _command("gc", "bank_gc:gc", "Delete bank files that no view needs any more."),
        ),
        RUN,
    ),
    GroupEntry(
        "views",
        "Views: list them, end those that are no more.",
        (
            _command("list", "views:list_views", LIST_VIEWS),
            _command("retire", "views:retire", RETIRE_VIEW),
        ),
        RUN,
    ),
    GroupEntry(
        "review",
        "Groups of frames that no bank learns until a person says what they are.",
        (
            _command("list", "review:list_groups", "List the groups that wait for a word."),
            _command("show", "review:show", "Show one group: its figures, and a picture of its frames."),
            _command("good", "review:good", "Say that a group is a good part, or a variant of it: it is learnt."),
            _command("defect", "review:defect", "Say that a group is a defect: it is never learnt."),
            _command("no-part", "review:no_part", "Say that a group shows no part: neither pass nor fail."),
            _command("ignore", "review:ignore", "Say that a group's place never counts, in any frame."),
            _command("undo", "review:undo", "Take the word on a group back: it is open again."),
        ),
        RUN,
    ),
    _command("feedback", "feedback:feedback", "Say of one frame that it was decided wrongly; take a word back.", RUN),
    _command("rebuild", "rebuild:rebuild", "Build a bank of a view now, and wait for it.", RUN),
    _command("shadow", "shadow:shadow", "Show what a bank that is being tried decides otherwise.", RUN),
    _command("hold", "hold:hold", "Let a view learn nothing until it is released.", RUN),
    _command("release", "hold:release", "Let a held view learn again, by the bank in force.", RUN),
    _command("pin", "hold:pin", "Make a bank the reference that new ones are held against.", RUN),
    _command("unpin", "hold:unpin", "Hold new banks of a view against no reference.", RUN),
    _command("relearn", "rebuild:relearn", "Forget a view's window and its bank, and learn it anew.", RUN),
    GroupEntry(
        "dead-letters",
        "Records no decision could be made of: list them, look into one, send it again.",
        (
            _command("list", "dead_letters:list_letters", "List the dead letters: what, why, from where."),
            _command("show", "dead_letters:show", "Show one dead letter, and get its bytes back."),
            _command("replay", "dead_letters:replay", "Send the frames of dead letters again."),
        ),
        RUN,
    ),
    _command("export", "export:export", "Write recorded decisions to a CSV or Parquet file.", RUN),
    _command("report", "report:report", "Write a shift report as one HTML file with its pictures inside.", RUN),
    _command("decisions", "decisions:decisions", "Show the latest recorded decisions of a view.", RUN),
    _command("replay", "replay:replay", "Decide recorded frames again, and report every difference.", RUN),
    _command("threshold", "threshold:threshold", "Show what another threshold would have done; put it in force.", RUN),
    _command("build", "build:build", "Build a bank from a folder of pictures.", WITHOUT),
    _command("score", "score:score", "Score pictures: score, threshold, verdict, and where they look wrong.", WITHOUT),
    _command("explain", "explain:explain", "Draw why a bank scores a picture as it does.", WITHOUT),
    _command("quantize", "quantize:quantize", QUANTIZE, WITHOUT),
    _command("evaluate", "evaluate:evaluate", "Measure methods on contaminated windows, as the paper does.", WITHOUT),
)
"""In the order of help; a summary is the first paragraph of the function's docstring. Only here modules load lazily."""


class Patchline(TyperGroup):
    """The group of all commands in the table."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 -- whatever typer builds a group from
        super().__init__(**attributes)
        for entry in COMMANDS:
            self.add_command(command_of(entry))


app = typer.Typer(
    name="patchline",
    cls=Patchline,
    help="Pass or fail for every frame of a production line, learned from the line's own unfiltered frames.",
    epilog="Exit codes: 0 went well, 1 failed, 2 wrong use.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)


def _show_version(requested: bool) -> None:  # noqa: FBT001 -- typer calls it with the flag
    if requested:
        typer.echo(f"patchline {version_of('patchline')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def patchline(
    context: typer.Context,
    *,
    version: bool = typer.Option(  # noqa: ARG001 -- its callback acts on it
        False, "--version", callback=_show_version, is_eager=True, help="Show which release this is."
    ),
) -> None:
    """Pass or fail for every frame of a production line, learned from the line's own unfiltered frames."""
    if context.invoked_subcommand is None:
        welcome(Console(), settings_here=Path("patchline.yaml").exists())
        return
    # Services turn their logs up; help logs nothing, so it does not load the logging library.
    imported("deploy.process.logs:configure_logs")(context.invoked_subcommand, quiet=True)


def welcome(console: Console, *, settings_here: bool) -> None:
    """Print the next step for a newcomer, or for somebody in a folder with settings."""
    steps = Table.grid(padding=(0, 3))
    steps.add_row("[bold cyan]patchline demo[/]", "a whole line on this machine in two minutes; needs no cluster")
    steps.add_row("[bold cyan]patchline build DIR --out FILE[/]", "a bank from a folder of your own pictures")
    steps.add_row("[bold cyan]patchline score IMAGE... --bank FILE[/]", "pictures and folders scored by that bank")
    up_does = "the services, by the patchline.yaml here" if settings_here else "the services, on your own Kafka"
    steps.add_row("[bold cyan]patchline up[/]", up_does)
    steps.add_row("[bold cyan]patchline --help[/]", "everything else")
    first = "patchline up" if settings_here else "patchline demo"
    console.print(Panel(steps, title=f"Patchline: start with [bold]{first}[/]", title_align="left", padding=(1, 2)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: run a command, and end with one sentence and an exit code where it cannot go on.

    Without arguments: those of the process. Raises SystemExit, always.
    """
    if arguments is None:
        atexit.register(gc.freeze)  # the interpreter would walk all that was imported once more: a tenth of a second
    try:
        app(arguments, prog_name="patchline")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        command_error = command_error_of(error)
        if command_error is None:
            raise  # a fault of the program: the traceback is what helps
        report_error(str(command_error))
        sys.exit(command_error.exit_code)


def report_error(sentence: str) -> None:
    """Print one sentence to stderr."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(
        f"[bold red]patchline:[/] {escape(sentence)}", highlight=False
    )


if __name__ == "__main__":
    main()
