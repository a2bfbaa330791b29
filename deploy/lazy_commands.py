"""Commands whose modules are imported when they are invoked: help lists them from a table and imports none."""

from __future__ import annotations

import gc
import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class CommandEntry:
    """One command of the table: its function is `target`, as `package.module:function`."""

    name: str
    target: str
    summary: str
    """The first paragraph of the function's docstring: its line in the help of all commands."""
    panel: str | None = None


@dataclass(frozen=True)
class GroupEntry:
    """A command that only holds others, as `patchline bank`."""

    name: str
    summary: str
    commands: Sequence[CommandEntry]
    panel: str | None = None


def command_of(entry: CommandEntry | GroupEntry) -> LazyCommand | TyperGroup:
    """The command of a table entry; nothing is imported for it yet."""
    if isinstance(entry, CommandEntry):
        return LazyCommand(entry)
    return TyperGroup(
        name=entry.name,
        help=entry.summary,
        commands=[command_of(each) for each in entry.commands],
        no_args_is_help=True,
        rich_markup_mode="rich",
        rich_help_panel=entry.panel,
    )


class LazyCommand(TyperCommand):
    """Name and summary of a command; the command itself, with its options, takes over once it is invoked."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=entry.summary, rich_markup_mode="rich", rich_help_panel=entry.panel)
        self.target = entry.target

    def load(self) -> TyperCommand:
        """The command itself."""
        function = imported(self.target)
        app = typer.Typer(rich_markup_mode="rich", add_completion=False)
        app.command(self.name, help=help_of(function))(function)
        command = get_command(app)
        if not isinstance(command, TyperCommand):
            raise TypeError(f"{self.target} is no single command")
        return command

    def make_context(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- whatever typer's parser passes
        """The context of the command itself, whose options are parsed here and which it then runs in."""
        return self.load().make_context(*arguments, **named)


def imported(target: str) -> Callable[..., Any]:
    """The function that `package.module:function` names."""
    module, _, function = target.partition(":")
    with _uncollected():
        found: Callable[..., Any] = getattr(import_module(module), function)
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is looked for: what is imported stays, and to walk it again and again takes a tenth of the time."""
    looked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked_for:
            gc.enable()


def help_of(function: Callable[..., Any]) -> str:
    """A command's docstring as help, each paragraph one line: typer keeps line breaks as they are."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)
