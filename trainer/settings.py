"""What a person may set: the trainer as a process, and how each view learns."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ingest.decision import InputFaultPolicy
from softpatch.gate.settings import GateSettings
from softpatch.images.input_faults import FROZEN_FRAMES
from softpatch.settings import BuildSettings
from trainer.schedule import checked_expression

MIB = 2**20

PromotionPolicy = Literal["at_once", "after_shadow", "by_person"]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: write one as Europe/Berlin, or UTC") from error
    return name


class TrainerSettings(BaseModel):
    """The `trainer` section of `patchline.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metrics_host: str = Field(default="127.0.0.1", description="The address that the metrics port is opened on.")
    metrics_port: int = Field(
        default=9402, ge=0, lt=2**16, description="Of /metrics, /healthz and /readyz; 0: a free one."
    )
    build_threads: int = Field(default=1, ge=1, description="Threads of one build; the line's scoring needs the rest.")
    compile_engines: bool = Field(
        default=False,
        description="Whether builds use TensorRT, which compiles an engine, in minutes, for every input size that they "
        "try; else they take CUDA in its place.",
    )
    build_niceness: int = Field(
        default=10, ge=0, le=19, description="How far a build steps back behind other processes."
    )
    build_timeout_seconds: float = Field(default=900, gt=0, description="A build that runs longer is stopped: failed.")
    poll_seconds: float = Field(
        default=0.2, gt=0, description="Longest wait for frames before builds are looked after."
    )
    flush_seconds: float = Field(
        default=2, gt=0, description="Between two writes of the window indexes; what a crash makes it read again."
    )
    retry_seconds: float = Field(
        default=10, gt=0, description="Between two tries at a store that does not take a file."
    )
    lost_check_seconds: float = Field(
        default=30, gt=0, description="Between two looks whether the store still has the bank in force of each view."
    )
    max_views: int = Field(
        default=1000, ge=1, description="Views learnt at once; frames of further ones without a bank are passed by."
    )
    forget_after_seconds: float = Field(
        default=86_400,
        gt=0,
        description="A view without a bank that is silent for so long is retired, with its window; it comes back with "
        "its next frame.",
    )
    keep_gate_records: int = Field(default=500, ge=1, description="Records of examinations kept of each view, newest.")
    build_memory_bytes: int | None = Field(
        default=None, ge=64 * MIB, description="Memory of its own that a build may take; more stops it. None: no limit."
    )
    keep_banks: int = Field(
        default=8,
        ge=0,
        description="Bank files kept of each view, those that its state names (in force, before it, pinned, refused "
        "last, tried) among them, and always; else the newest.",
    )
    signing_key_file: str | None = Field(
        default=None,
        description="PEM file of an Ed25519 private key that signs every bank, and what the gate says of it (the "
        "signing extra); none: unsigned.",
    )
    heartbeat_limit_seconds: float = Field(
        default=60, gt=0, description="Longest silence of the trainer's loop before /healthz says it hangs."
    )


class ViewTraining(BaseModel):
    """How one view learns: the trainer's part of a section under `views` in `patchline.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    first_build_frames: int = Field(default=30, ge=1, description="Frames after which the first bank is built.")
    rebuild_every_frames: int = Field(default=2000, ge=1, description="Frames from one build to the next.")
    rebuild_at: Annotated[str, AfterValidator(checked_expression)] | None = Field(
        default=None,
        description="A cron expression (minute, hour, day, month, weekday) at whose times a bank is built, by the time "
        "of the line's frames; beside rebuild_every_frames.",
    )
    rebuild_time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC", description="The time zone of rebuild_at, as Europe/Berlin."
    )
    window_frames: int = Field(default=400, ge=2, description="Frames a window holds at most.")
    window_bytes: int = Field(default=512 * MIB, ge=MIB, description="Encoded bytes a window holds at most.")
    window_span_frames: int = Field(
        default=8000, ge=2, description="The window is spread evenly over at most so many of the latest frames."
    )
    mode_cap_ratio: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Share of the window that a second mode (empty belt, variant) may hold; more is passed by.",
    )
    provisional_interval_ratio: float = Field(
        default=1.25,
        gt=1,
        description="A view is provisional until a bank of a full window has a threshold whose interval is at most so "
        "wide: high over low.",
    )
    false_reject_ratio: float | None = Field(
        default=None, gt=0, lt=0.5, description="Share of good parts that may be rejected; over the one in `build`."
    )
    undecided_band: tuple[float, float] | None = Field(
        default=None,
        description="Scores over threshold between which a frame is undecided, as [0.9, 1.1]; none: every frame with a "
        "score passes or fails.",
    )
    input_fault: InputFaultPolicy = Field(
        default="undecided",
        description="What a black, over-exposed or frozen frame is; unless it is `inspect`, none is learnt from.",
    )
    frozen_frames: int = Field(
        default=FROZEN_FRAMES, ge=3, description="So many frames in a row that show the same instant are frozen."
    )
    review_hours: float = Field(
        default=72,
        ge=0,
        description="For so long a group that waits for a word keeps a view provisional, from when it was found.",
    )
    promotion: PromotionPolicy = Field(
        default="at_once",
        description="When a bank that passed the gate comes into force: `at_once`, `after_shadow` (it scores a sample "
        "of frames beside the bank in force first) or `by_person` (the same, until a person puts it in force).",
    )
    shadow_frames: int = Field(default=200, ge=1, description="Frames that a bank scores in shadow at most.")
    shadow_hours: float = Field(
        default=24, gt=0, description="Hours after which those that it has scored by then are enough."
    )
    shadow_flip_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of them that may be decided otherwise than by the bank in force.",
    )
    gate: GateSettings = GateSettings()
    build: BuildSettings = BuildSettings()

    @model_validator(mode="after")
    def _first_window_fits(self) -> Self:
        if self.first_build_frames > self.window_frames:
            raise ValueError(
                f"first_build_frames {self.first_build_frames} is above window_frames {self.window_frames}: "
                "raise the latter"
            )
        if self.window_span_frames < self.window_frames:
            raise ValueError(
                f"window_span_frames {self.window_span_frames} is below window_frames {self.window_frames}: "
                "raise the former"
            )
        return self

    @model_validator(mode="after")
    def _band_holds_the_threshold(self) -> Self:
        if self.undecided_band is not None and not 0 < self.undecided_band[0] <= 1 <= self.undecided_band[1]:
            low, high = self.undecided_band
            raise ValueError(f"undecided_band {low:g} to {high:g} must hold 1, the threshold, and begin above 0")
        return self

    @property
    def build_settings(self) -> BuildSettings:
        """The settings of this view's builds, with the view's own false-reject ratio."""
        if self.false_reject_ratio is None:
            return self.build
        # Not model_copy: a copy is not validated.
        return BuildSettings.model_validate({**self.build.model_dump(), "false_reject_ratio": self.false_reject_ratio})

    @property
    def facts(self) -> dict[str, Any]:
        """What of these settings shaped the window: for a bank's provenance, beside its build settings."""
        return self.model_dump(mode="json", exclude={"build", "gate"})
