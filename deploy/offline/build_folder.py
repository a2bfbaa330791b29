"""A bank from a folder, with progress on the terminal."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from deploy.wiring import embedder_of, graph_of
from softpatch.bank import Bank, bank_to_bytes
from softpatch.building.build import build_bank
from softpatch.images.folders import read_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from deploy.output.progress import ProgressDisplay, ProgressStep
    from deploy.settings import Settings


def build_from_folder(
    folder: Path, settings: Settings, *, view: str, at: datetime, progress: ProgressDisplay
) -> tuple[Bank, bytes]:
    """The bank of a folder's training pictures, and its file's bytes.

    Raises:
        NoImages: there are none.
        TooFewFrames: there are too few that can be decoded.
    """
    images = read_folder(folder).train
    encoded = [image.path.read_bytes() for image in images]
    names = [str(image.path.relative_to(folder)) for image in images]
    return built(encoded, names, settings, view=view, at=at, progress=progress)


def built(
    encoded: Sequence[bytes],
    names: Sequence[str],
    settings: Settings,
    *,
    view: str,
    at: datetime,
    progress: ProgressDisplay,
) -> tuple[Bank, bytes]:
    """The bank of these pictures by a view's settings, and its file's bytes."""
    embedder, graph = embedder_of(settings.runtime), graph_of(settings.runtime)
    with Stages(progress) as stages:
        bank = build_bank(
            encoded,
            embedder,
            settings.training_of(view).build_settings,
            view=view,
            frame_names=list(names),
            graph_name=graph.name,
            created_at=at.isoformat(timespec="milliseconds"),
            progress=stages.report,
            max_pixels=settings.images.max_pixels,
        )
    return bank, bank_to_bytes(bank)


class Stages:
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
