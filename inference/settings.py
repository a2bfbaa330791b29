"""The `inference` section of `patchline.yaml`, and how each view is inspected."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from ingest.decision import InputFaultPolicy
from softpatch.images.input_faults import FROZEN_FRAMES


class InferenceSettings(BaseModel):
    """One inference process. Plain values; nothing here reads the environment, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9401
    """0 takes a free one."""
    batch_frames: PositiveInt = 16
    """Frames scored together at most; a batch is taken as soon as the worker is free, never awaited."""
    queue_frames: PositiveInt = 64
    """Frames that wait at most; beyond it partitions are paused."""
    queue_bytes: PositiveInt = 256 * 1024 * 1024
    """Encoded bytes of them, likewise: 64 frames of a megabyte wait by number, of ten megabytes by their bytes."""
    decode_threads: PositiveInt = 2
    poll_seconds: PositiveFloat = 0.1
    """Longest wait for new frames while nothing is being scored."""
    drain_seconds: PositiveFloat = 10.0
    """From the order to stop to the last commit; what is not done by then is read again by the next process."""
    silence_seconds: PositiveFloat = 60.0
    """A loop silent for so long is dead to `/healthz`: longer than its slowest batch and commit."""
    clock_skew_seconds: PositiveFloat = 10.0
    """Where this machine's clock and the broker's are farther apart than this, every frame is undecided."""
    bank_retry_seconds: PositiveFloat = 5.0
    """Between two attempts to fetch a bank that the store does not give."""
    bank_keys: tuple[str, ...] = ()
    """PEM files of Ed25519 public keys: only banks that one of them signed come into force (the signing extra)."""
    max_views: PositiveInt = 1000
    """Views decided at once; of further ones without a bank every frame is a dead letter, `too_many_views`."""
    forget_after_seconds: PositiveFloat = 3600.0
    """A view silent for so long makes room, and its series disappear; it comes back with its next frame."""
    remembered_frame_ids: PositiveInt = 10_000
    """Per partition: how far back a repeated frame id is recognised."""

    @model_validator(mode="after")
    def _a_batch_fits_the_queue(self) -> InferenceSettings:
        if self.queue_frames < self.batch_frames:
            raise ValueError("queue_frames must be at least batch_frames: a batch is taken from the queue")
        return self


class ViewInspection(BaseModel):
    """How one view is inspected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_seconds: PositiveFloat = 5.0
    """From the broker's append time to the decision; later the part is gone, and the frame is undecided."""
    dead_letter_cap_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Above this share of dead letters among the view's last records, its frames are undecided."""
    dead_letter_window_records: PositiveInt = 50
    """How many last records that is; a younger view counts as if the missing ones were good."""
    input_fault: InputFaultPolicy = "undecided"
    """What a black, over-exposed or frozen frame is; `inspect`: it is decided by its score, and learnt from."""
    frozen_frames: Annotated[int, Field(ge=3)] = FROZEN_FRAMES
    """So many frames in a row that show the same instant are frozen."""
    line_changed_frames: Annotated[int, Field(ge=0)] = 20
    """How many last frames say whether the line has changed; 0: never, every frame that fails is a fail."""
    shadow_every: PositiveInt = 4
    """One frame in so many is scored by a bank in shadow, too, where there is one; under load fewer are, or none."""
    line_changed_ratio: Annotated[float, Field(gt=0.5, le=1)] = 0.9
    """From this share of failing frames among them on, one that would fail is undecided, until at most half fail."""
