"""A bank from a folder of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.chosen_network import graph_of
from deploy.wiring import embedder_of
from softpatch.bank import Bank, bank_to_bytes
from softpatch.building.build import build_bank
from softpatch.building.input_cost import Pace
from softpatch.images.folders import read_folder
from trainer.machine_clock import machine_clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from deploy.settings import Settings
    from softpatch.building.labels import LabelledFrames
    from softpatch.building.progress import BuildProgress


def build_from_folder(
    folder: Path,
    settings: Settings,
    *,
    view: str,
    at: datetime,
    progress: BuildProgress,
    labels: Sequence[LabelledFrames] = (),
) -> tuple[Bank, bytes]:
    """The bank of a folder's training pictures, and its file's bytes; `labels` are groups that a build found before.

    Raises:
        NoImages: there are none.
        TooFewFrames: there are too few that can be decoded.
    """
    images = read_folder(folder).train
    encoded = [image.path.read_bytes() for image in images]
    names = [str(image.path.relative_to(folder)) for image in images]
    return build_from_bytes(encoded, names, settings, view=view, at=at, progress=progress, labels=labels)


def build_from_bytes(
    encoded: Sequence[bytes],
    names: Sequence[str],
    settings: Settings,
    *,
    view: str,
    at: datetime,
    progress: BuildProgress,
    labels: Sequence[LabelledFrames] = (),
    frames_per_second: float | None = None,
) -> tuple[Bank, bytes]:
    """The bank of these pictures by a view's settings, and its file's bytes.

    `frames_per_second`: at which its frames will come, where the settings do not say (`build.frames_per_second`).
    """
    embedder, graph = embedder_of(settings.runtime), graph_of(settings.runtime)
    bank = build_bank(
        encoded,
        embedder,
        settings.training_of(view).build_settings,
        view=view,
        frame_names=list(names),
        graph_name=graph.name,
        created_at=at.isoformat(timespec="milliseconds"),
        progress=progress,
        max_pixels=settings.images.max_pixels,
        labels=labels,
        pace=Pace(frames_per_second, machine_clock(embedder.provider)),
    )
    return bank, bank_to_bytes(bank)
