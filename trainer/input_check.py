"""Whether a frame that is due for the window can be learnt from, or shows a fault of the camera."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from softpatch.images.input_faults import FrameThumbnail, FrozenRun, InputBaseline, InputFault, exposure_fault
from softpatch.images.statistics import measure
from trainer.window import FrozenRunState

if TYPE_CHECKING:
    import numpy as np

    from trainer.settings import ViewTraining
    from trainer.window import WindowIndex


def fault_of(
    pixels: np.ndarray,
    run: FrozenRunState,
    training: ViewTraining,
    baseline: InputBaseline,
    *,
    inspected: np.ndarray | None,
) -> InputFault | None:
    """Why a frame (uint8 RGB at the network's input) shows nothing to learn from; `run` ends with it.

    Where `inspected` is given, pixels count where it is not 0.
    """
    if training.input_fault == "inspect":
        return None
    fault = exposure_fault(measure(pixels, inspected), baseline)
    return fault or (InputFault.FROZEN if too_long(run, training) else None)


def run_with(index: WindowIndex, pixels: np.ndarray, sha256: str, baseline: InputBaseline) -> FrozenRunState:
    """The run of frames of the same instant that a frame (uint8 RGB at the network's input) continues, or begins."""
    thumbnail = FrameThumbnail.of(pixels)
    before = index.run
    if before is None:
        return _new_run(thumbnail, sha256)
    first = FrameThumbnail.from_bytes(b64decode(before.thumbnail_base64))
    repeats = FrozenRun(first, before.repeats).after(thumbnail, baseline).repeats
    return before.model_copy(update={"repeats": repeats}) if repeats else _new_run(thumbnail, sha256)


def run_with_bytes(index: WindowIndex, sha256: str) -> FrozenRunState | None:
    """The same for a frame whose bytes the window holds, without decoding it; None where it continues no run."""
    run = index.run
    return None if run is None or run.sha256 != sha256 else run.model_copy(update={"repeats": run.repeats + 1})


def too_long(run: FrozenRunState | None, training: ViewTraining) -> bool:
    """Whether a run is so long that the camera is frozen, or the line stands still."""
    if run is None or training.input_fault == "inspect":
        return False
    return FrozenRun(None, run.repeats).frozen(training.frozen_frames)


def _new_run(thumbnail: FrameThumbnail, sha256: str) -> FrozenRunState:
    return FrozenRunState(thumbnail_base64=b64encode(thumbnail.to_bytes()).decode("ascii"), sha256=sha256)
