"""What a bank file says of itself, in its metadata: what it is, how it was made, what it suggests."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from softpatch.calibration.detection import DetectionCurve
from softpatch.images.decode import FULL_DEPTH
from softpatch.images.frame_sizes import FrameSizes
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.settings import BuildSettings

FORMAT_VERSION: Literal[1] = 1
"""The version that is written, and the newest that is read."""

GroupLabel = Literal["open", "good", "defect", "no_part", "ignore"]


class Threshold(BaseModel):
    """The suggested decision threshold, in the bank's own score units, and how sure the calibration is of it.

    The interval holds the threshold that the asked ratio really needs, in nine cases of ten; `false_reject_low` to
    `false_reject_high` the ratio that this threshold really gives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    value: PositiveFloat
    interval_low: PositiveFloat
    interval_high: PositiveFloat
    false_reject_ratio: float = Field(gt=0, lt=0.5)
    false_reject_low: float = Field(ge=0, le=1)
    false_reject_high: float = Field(ge=0, le=1)
    rule: str


class GroupRecord(BaseModel):
    """Frames of a window that are alike among themselves and unlike the many at one place, and what is known of them.

    `open`: nobody has said what they are, so they are not learnt. `is_new`: no earlier build had found them.
    `box_xyxy` is in shares of the frame's width and height. `examples` are the names of up to eight of the `members`,
    the most typical first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    id: str
    label: GroupLabel
    is_new: bool
    frames: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    box_xyxy: tuple[float, float, float, float]
    whole_frame: bool
    examples: list[str]
    members: list[str]


class GoldenResult(BaseModel):
    """How the bank decides frames that people gave a word on: how many it decides right, and the ids of the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    right: int = Field(default=0, ge=0)
    wrong: list[str] = Field(default_factory=list)


class InputTrial(BaseModel):
    """One candidate for a view's input, and the share of planted defects that it saw."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    geometry: Geometry
    features: str
    seen_ratio: float = Field(ge=0, le=1)


class InputCost(BaseModel):
    """What limited the candidates: a view's frame rate, and the seconds a frame took all cores at this input."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    frames_per_second: PositiveFloat
    frame_seconds: NonNegativeFloat
    most_input_px: PositiveInt


class InputChoice(BaseModel):
    """Which candidates were tried on how many frames, the chosen one first; `cost` is None where no rate was known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    frames: PositiveInt
    trials: list[InputTrial] = Field(min_length=1)
    cost: InputCost | None = None


class Manifest(BaseModel):
    """What a bank is, how it was made and what it suggests. `provenance` is the trainer's and opaque here.

    The first `trusted_patches` patches were kept by the noise mask; the patches after them were rejected: untrusted.
    The last `labelled_frames` of `frame_names` are not of the window: people gave a word on them, or earlier builds had
    found a group in them. `no_part_limit` is what a frame without a part scores, at most, against `no_part_vectors`.
    `input_choice` says why geometry and features are what they are, where nobody gave them, and `detection` how small a
    planted defect the bank finds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    format_version: Literal[1] = FORMAT_VERSION
    view: str
    graph_name: str
    graph_hash: str
    geometry: FrameGeometry
    features: str
    input_choice: InputChoice | None = None
    detection: DetectionCurve | None = None
    frame_px: FrameSizes
    dimension: PositiveInt
    grid: tuple[PositiveInt, PositiveInt]
    settings: BuildSettings
    frame_names: list[str]
    labelled_frames: int = Field(default=0, ge=0)
    skipped_frames: int = Field(ge=0)
    groups: list[GroupRecord] = Field(default_factory=list)
    golden: GoldenResult = Field(default_factory=GoldenResult)
    no_part_limit: PositiveFloat | None = None
    noise_floor: NonNegativeFloat
    kept_ratio: float = Field(gt=0, le=1)
    trusted_patches: PositiveInt
    threshold: Threshold
    noise_estimate: float = Field(ge=0, le=1)
    probe_precision: Literal["fp32", "fp16", "int8"]
    parent: str | None
    provenance: dict[str, Any]
    created_at: str

    @property
    def remarks(self) -> list[str]:
        """What somebody should know of how the frames were read, a sentence each; mostly nothing."""
        found = self.settings.regions.outside((self.frame_px.width_px, self.frame_px.height_px))
        depth = self.geometry.bit_depth
        if self.settings.bit_depth == "auto" and depth is not None and depth < FULL_DEPTH:
            found.append(
                f"The 16-bit pictures use {depth} bits: no sample of the window is above {2**depth - 1}, which counts "
                f"as white. build.bit_depth: {depth} in the settings says so for good"
            )
        return found
