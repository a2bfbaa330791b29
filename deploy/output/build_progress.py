"""How a build is coming along, stage by stage."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from deploy.output.progress import ProgressDisplay, ProgressStep


class BuildStages:
    """The stages of one build, each a bar of its own; use it as a context manager."""

    def __init__(self, progress: ProgressDisplay) -> None:
        self._progress = progress
        self._stack = ExitStack()
        self._stage = ""
        self._step: ProgressStep | None = None

    def report(self, stage: str, done: int, total: int) -> None:
        """Show a step of the build; softpatch calls it."""
        if stage != self._stage or self._step is None:
            self._stack.close()
            self._stage = stage
            self._step = self._stack.enter_context(self._progress.counted(f"Build: {stage}", total))
        self._step.reach(done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
