"""How long work is coming along, on a terminal; in a log file, one line a step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import TaskID


class ProgressStep:
    """One piece of work of known length."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self._bars.advance(self._task, count)

    def reach(self, done: int) -> None:
        """So much is done in all."""
        self._bars.update(self._task, completed=done)


class ProgressDisplay:
    """Shows one step at a time, and leaves a line with its seconds behind each."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """Work whose length nobody knows."""
        with self._counted(words, None):
            yield

    @contextmanager
    def counted(self, words: str, total: int) -> Iterator[ProgressStep]:
        """Work of `total` pieces."""
        with self._counted(words, total, BarColumn(bar_width=32), MofNCompleteColumn()) as step:
            yield step

    @contextmanager
    def _counted(
        self, words: str, total: int | None, *columns: BarColumn | MofNCompleteColumn
    ) -> Iterator[ProgressStep]:
        bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<32}"),
            *columns,
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        with bars:
            task = bars.add_task(words, total=total)
            yield ProgressStep(bars, task)
        seconds = bars.tasks[bars.task_ids.index(task)].elapsed or 0.0
        self._console.print(f"[green]✓[/] {words:<32} [dim]{seconds:6.1f} s[/]", highlight=False)
