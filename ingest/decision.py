"""The decision contract: the verdict on one frame, and what it is based on."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import a2b_base64
from enum import StrEnum
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, StringConstraints, model_validator

from ingest.contract import FrozenModel, Message, Moment, Sha256, SourceRecord
from ingest.view import ViewName
from softpatch.images.input_faults import InputFault

SKETCH_DIMENSION = 32
InputFaultPolicy = Literal["undecided", "pass", "fail", "inspect"]
"""How frames that show nothing to inspect are decided; `inspect`: by their score, as any other."""

Ratio = Annotated[float, Field(ge=0, le=1)]


class Verdict(StrEnum):
    """What to do with the part. Never a silent pass: what cannot be vouched for is undecided, with a reason."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    FAIL = "fail"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why a frame is undecided."""

    LEARNING = "learning"
    CLOCK = "clock"
    """This machine's clock and the broker's are too far apart."""
    DEADLINE = "deadline"
    NEAR_THRESHOLD = "near_threshold"
    FRAME_SIZE = "frame_size"
    """The picture is smaller than those the bank learnt, or of another aspect ratio."""
    INPUT_FAULT = "input_fault"
    DEAD_LETTER_RATE = "dead_letter_rate"
    LINE_CHANGED = "line_changed"
    """Most frames of the view fail together: the line is no longer what the bank learnt."""
    NO_PART = "no_part"
    """There is no part in the picture, as a person said of frames like it."""
    NO_SCORE = "no_score"
    BANK_REFUSED = "bank_refused"


class LineChange(StrEnum):
    """Where the frames differ that fail together."""

    SAME_PLACE = "same_place"
    """At one place of every frame: look at the lens and the fixture, not at the product."""
    EVERYWHERE = "everywhere"
    """At many places: the product, the light, or the position of the camera."""


class DefectRegion(FrozenModel):
    """A place that is not like the bank. Pixels of the frame as it came; x right, y down, end exclusive."""

    box_xyxy_px: tuple[float, float, float, float]
    peak_ratio: NonNegativeFloat
    """Largest score in the region over the threshold."""


class SmallMap(FrozenModel):
    """The patch scores of the frame, coarse enough for a message: one byte a patch."""

    rows: Annotated[int, Field(ge=1, le=512)]
    columns: Annotated[int, Field(ge=1, le=512)]
    maximum: NonNegativeFloat
    """The score that byte 255 stands for."""
    values_base64: str

    @classmethod
    def of(cls, scores: np.ndarray) -> Self:
        """Quantise patch scores (float, [rows, columns], not negative) to bytes of their maximum."""
        rows, columns = scores.shape
        maximum = float(scores.max())
        scale = 255.0 / maximum if maximum > 0 else 0.0
        quantised = np.rint(scores.astype(np.float64) * scale).astype(np.uint8)
        return cls(
            rows=rows, columns=columns, maximum=maximum, values_base64=b64encode(quantised.tobytes()).decode("ascii")
        )

    def scores(self) -> np.ndarray:
        """Float32 [rows, columns], within half a byte step of what was quantised."""
        quantised = np.frombuffer(b64decode(self.values_base64), np.uint8).reshape(self.rows, self.columns)
        return quantised.astype(np.float32) * np.float32(self.maximum / 255.0)

    @model_validator(mode="after")
    def _one_byte_a_patch(self) -> Self:
        if len(a2b_base64(self.values_base64, strict_mode=True)) != self.rows * self.columns:
            raise ValueError("values_base64 must hold rows x columns bytes")
        return self


class NearestPatch(FrozenModel):
    """The bank patch that the frame's worst patch is nearest to: where it was learnt."""

    source_frame: str
    row: Annotated[int, Field(ge=0)]
    column: Annotated[int, Field(ge=0)]


class ImageFacts(FrozenModel):
    """What the pixels show before any network: brightness, contrast and sharpness on 0 to 255 gray levels."""

    brightness: NonNegativeFloat
    contrast: NonNegativeFloat
    sharpness: NonNegativeFloat
    dark_ratio: Ratio
    saturated_ratio: Ratio


class BankRef(FrozenModel):
    """The bank that scored the frame, and the epoch of the bank state that put it in force."""

    version: Sha256
    epoch: Annotated[int, Field(ge=0)]


class VerdictInForce(FrozenModel):
    """What the bank in force decided of a frame that a bank in shadow was tried on."""

    verdict: Verdict
    reason: Reason | None = None
    score_ratio: NonNegativeFloat | None = None
    bank: BankRef | None = None


ShortText = Annotated[str, StringConstraints(max_length=256)]
"""What a header of the frame says, as long as `ingest.frame` lets it be."""


class Decision(Message):
    """The verdict on one frame. Distances of one bank: `score`, `threshold`; across views compare `score_ratio`."""

    id: Sha256
    view: ViewName
    frame_id: ShortText
    source: SourceRecord
    verdict: Verdict
    reason: Reason | None = None
    provisional: bool = False
    score: NonNegativeFloat | None = None
    threshold: PositiveFloat | None = None
    score_ratio: NonNegativeFloat | None = None
    bank: BankRef | None = None
    regions: tuple[DefectRegion, ...] = ()
    anomaly_map: SmallMap | None = None
    nearest: NearestPatch | None = None
    image: ImageFacts | None = None
    input_fault: InputFault | None = None
    """Why the frame shows nothing to inspect; the view's policy decides what that means for the verdict."""
    line_change: LineChange | None = None
    """Where most of the frames that fail together differ; stands with the reason `line_changed`."""
    line_change_box_xyxy_px: tuple[float, float, float, float] | None = None
    """The place, where it is the same in all of them; pixels of the frame as it came."""
    size_wh_px: tuple[int, int] | None = None
    difference_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None
    change_bits: Annotated[int, Field(ge=0, le=64)] | None = None
    """Bits of the difference hash that changed since the view's previous frame."""
    sketch: Annotated[tuple[float, ...], Field(min_length=SKETCH_DIMENSION, max_length=SKETCH_DIMENSION)] | None = None
    sequence: Annotated[int, Field(ge=0)] | None = None
    part_serial: ShortText | None = None
    file_name: ShortText | None = None
    """Of the frame's header: the file that the picture came from."""
    captured_at: Moment | None = None
    appended_at: Moment
    decided_at: Moment
    provider: str | None = None
    precision: Literal["fp32", "fp16", "int8"] | None = None
    queue_seconds: NonNegativeFloat = 0.0
    stage_seconds: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    duplicate_of: SourceRecord | None = None
    """The first record with this frame id, within the last 10,000 frame ids of the partition."""
    replay_of: SourceRecord | None = None
    """The dead letter that was replayed."""
    in_force: VerdictInForce | None = None
    """Of a decision on `decisions.shadow`, by a bank that is only being tried: what counts of this frame."""

    @model_validator(mode="after")
    def _a_verdict_is_vouched_for(self) -> Self:
        if (self.verdict is Verdict.UNDECIDED) != (self.reason is not None):
            raise ValueError("an undecided frame has a reason, and only an undecided one")
        if self.verdict is not Verdict.UNDECIDED and None in (self.score, self.threshold, self.bank):
            raise ValueError("a pass or fail needs a score, a threshold and a bank")
        if (self.score_ratio is None) != (self.score is None or self.threshold is None):
            raise ValueError("score_ratio stands where score and threshold do")
        if (self.line_change is None) != (self.reason is not Reason.LINE_CHANGED):
            raise ValueError("line_change stands with the reason line_changed, and with no other")
        return self


def decision_id(view: str, frame_id: str) -> str:
    """The same for every decision on one frame id of a view: what readers are idempotent by."""
    return hashlib.sha256(f"{view}\n{frame_id}".encode()).hexdigest()
