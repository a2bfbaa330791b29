"""What a bank is built with: one frozen value, stored whole in the bank's manifest."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from softpatch.images.decode import FULL_DEPTH, SHALLOWEST
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.images.regions import InspectedRegions

DiscriminatorName = Literal["expected-nearest", "lof", "gaussian", "nearest", "none"]
RemovalName = Literal["frames", "patches"]
SamplerName = Literal["greedy", "random"]

FEWEST_BLOCKS = 3
"""Calibration blocks of a short window; a longer one has up to `calibration_blocks`."""


@dataclass(frozen=True)
class ScoringRule:
    """How distances to a bank become patch scores, as `Scorer.score` documents it. The defaults are the paper's."""

    second_frame_ratio: float = 0.0
    untrusted_ratio: float = 1.0
    blur_cells: float = 0.0


def _share_or_auto(given: object) -> object:
    """A share or `auto`, and one error text for everything else; the environment gives numbers as text."""
    if given == "auto":
        return given
    try:
        share = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else -1.0
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ValueError("must be a share from 0 to below 1, or auto")
    return share


def _depth_or_auto(given: object) -> object:
    """Whole bits or `auto`, and one error text for everything else; the environment gives numbers as text."""
    if given == "auto":
        return given
    whole = isinstance(given, int) and not isinstance(given, bool)
    depth = int(given) if whole or (isinstance(given, str) and given.isdigit()) else 0  # type: ignore[call-overload]
    if not SHALLOWEST <= depth <= FULL_DEPTH:
        raise ValueError(f"must be a number of bits from {SHALLOWEST} to {FULL_DEPTH}, or auto")
    return depth


BitDepth = Annotated[int | Literal["auto"], BeforeValidator(_depth_or_auto)]

NoiseRatio = Annotated[float | Literal["auto"], BeforeValidator(_share_or_auto)]


GroupPolicy = Literal["ask", "learn"]

FAST = Geometry(mode="squash", height_px=224, width_px=224)
"""What `geometry: fast` is short for, with fine features."""


class BuildSettings(BaseModel):
    """Everything that decides which bank a window becomes: the same frames and settings give the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    geometry: Geometry | None = Field(
        default=None,
        description="How a frame of any size becomes the network's input: `auto` tries a few sizes on the view's own "
        "frames, `fast` is 224 x 224 px with fine features, the cheapest of them.",
    )
    features: str = Field(
        default="auto",
        description="Which layers of the network a patch is made of: `fine` (strides 8 and 16, at 8), `medium` (the "
        "same at stride 16), `wide` (strides 16 and 32, at 16), or what an exported network names. `auto` chooses with "
        "the geometry; where that is given, it is the network's first.",
    )
    most_input_px: int = Field(
        default=448 * 448,
        ge=32 * 32,
        description="Pixels of the network's input that `geometry: auto` may take: the time for a frame grows with it.",
    )
    frames_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Frames that come to one inspection in a second, of all its cameras together: `geometry: auto` "
        "takes an input that leaves two thirds of the time, as measured here. Without it the view's own rate counts, "
        "once its window spans a minute.",
    )
    field_of_view_mm: float | None = Field(
        default=None, gt=0, description="Width of what the camera sees. With smallest_defect_mm it decides the size."
    )
    smallest_defect_mm: float | None = Field(
        default=None, gt=0, description="The smallest defect that has to be found, in the longer direction."
    )
    bit_depth: BitDepth = Field(
        default="auto",
        description="Bits of a sample that 16-bit pictures use: 12 where a 12-bit camera fills the lower ones. `auto`: "
        "the least of 10, 12, 14 and 16 that holds the largest sample of the window. 8-bit pictures need none.",
    )
    regions: InspectedRegions = Field(
        default_factory=InspectedRegions,
        description="Polygons of the frame to `inspect` and to `ignore`, as lists of corners [x, y] in its pixels.",
    )
    detection_plants: int = Field(
        default=200,
        ge=0,
        description="Artificial defects that tell how small a defect the bank finds (its detection curve); 0 for none.",
    )
    discriminator: DiscriminatorName = Field(
        default="expected-nearest", description="How the outlier factor of a patch is computed."
    )
    removal: RemovalName = Field(
        default="frames",
        description="What is rejected: frames that stand out, however many, or a fixed share of patches (SoftPatch).",
    )
    noise_ratio: NoiseRatio = Field(
        default=0.15,
        description="Of all patches, the share rejected as noise (SoftPatch's tau), or `auto`: half again the "
        "share of frames that are estimated to be defective. Where whole frames are rejected, the share that counts as "
        "outliers (0.15 for `auto`): only frames with clusters of outliers lose them.",
    )
    groups: GroupPolicy = Field(
        default="ask",
        description="What becomes of groups of the few, frames that are alike at one place and unlike the many: `ask` "
        "keeps them out of the bank until a person says what they are, `learn` learns them as any other.",
    )
    lof_k: int = Field(default=6, ge=1, description="Neighbours that LOF compares a patch with.")
    group_frames: int = Field(default=384, ge=2, description="Frames discriminated together, at most.")
    noise_floor: bool = Field(
        default=True, description="Whether distances below the window's own noise count as that noise."
    )
    projection_dims: int = Field(
        default=128, ge=1, description="Dimensions of the random projection for discriminator and coreset."
    )
    sampler: SamplerName = Field(default="greedy", description="How the kept patches are subsampled to a bank.")
    coreset_ratio: float = Field(default=0.1, gt=0, le=1, description="Share of the kept patches the bank holds.")
    coreset_frames: int = Field(
        default=1024,
        ge=2,
        description="Frames whose patches are subsampled at once; longer windows merge groups of this size.",
    )
    coreset_cap: int = Field(default=4000, ge=1, description="Patches a bank holds at most.")
    soft_weights: bool = Field(
        default=False, description="Whether distances are weighted by the outlier factor of the bank patch."
    )
    soft_weight_low: float = Field(default=0.5, gt=0, description="Lower clip of a soft weight.")
    soft_weight_high: float = Field(default=4.0, gt=0, description="Upper clip of a soft weight.")
    second_frame_ratio: float = Field(
        default=0.85,
        ge=0,
        le=1,
        description="A score is at least the distance to the nearest patch of a second frame, less "
        "1 - second_frame_ratio of that to the first. Exactly 0, and no small value, switches it off (SoftPatch).",
    )
    untrusted_ratio: float = Field(
        default=0.92,
        gt=0,
        le=1,
        description="Where an untrusted patch (one that was rejected as noise) is nearer than all others, it lowers a "
        "score by 1 - untrusted_ratio of its own distance, never below that; at 1 none enters a bank (SoftPatch).",
    )
    blur_cells: float = Field(
        default=0.8,
        ge=0,
        le=8,
        description="Sigma of the Gaussian that averages patch scores with their neighbours', in patches; 0 for none.",
    )
    position_power: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="How much less a patch score counts where good frames often have their highest: it is divided by "
        "how often they do, over the mean of all positions, to this power; at 0 all count alike (SoftPatch).",
    )
    calibration_blocks: int = Field(
        default=50,
        ge=2,
        description="Contiguous blocks of the window, at most, each scored by the bank as it would be without them.",
    )
    false_reject_ratio: float = Field(
        default=0.02, gt=0, lt=0.5, description="Share of good frames the threshold may reject."
    )
    probes: int = Field(default=8, ge=1, description="Frames kept in the bank to prove that scores are the same.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of everything random in a build.")

    @model_validator(mode="before")
    @classmethod
    def _names_of_geometries(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a settings file holds
        if not isinstance(given, dict) or given.get("geometry") not in ("auto", "fast"):
            return given
        if given["geometry"] == "auto":
            return given | {"geometry": None}
        return {"features": "fine"} | given | {"geometry": FAST}

    @model_validator(mode="after")
    def _both_lengths_or_none(self) -> "BuildSettings":
        if (self.field_of_view_mm is None) != (self.smallest_defect_mm is None):
            raise ValueError("field_of_view_mm and smallest_defect_mm say something only together; set both or neither")
        return self

    @model_validator(mode="after")
    def _clips_are_ordered(self) -> "BuildSettings":
        if self.soft_weight_low > self.soft_weight_high:
            raise ValueError(
                f"soft_weight_low {self.soft_weight_low} is above soft_weight_high {self.soft_weight_high}; swap them"
            )
        return self

    @property
    def measured_geometry(self) -> FrameGeometry:
        """At which frames are measured before a bank says what its input is."""
        depth = None if self.bit_depth == "auto" else self.bit_depth
        return FrameGeometry.of(self.geometry or FAST, bit_depth=depth, regions=self.regions)

    @property
    def scoring(self) -> ScoringRule:
        """The part that scoring needs."""
        return ScoringRule(self.second_frame_ratio, self.untrusted_ratio, self.blur_cells)

    @property
    def fewest_frames(self) -> int:
        """Usable frames without which there is nothing to compare: two in every calibration block."""
        return 2 * min(self.calibration_blocks, FEWEST_BLOCKS)
