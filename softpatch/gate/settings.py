"""The bounds that a new bank must keep to come into force by itself; each may be switched off."""

from pydantic import BaseModel, ConfigDict, Field


class GateSettings(BaseModel):
    """The `gate` section of a view. Every bound is null where it is not to be asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = Field(
        default=True, description="Whether a new bank is examined at all; off: every bank comes into force as built."
    )
    quarantine_frames: int | None = Field(
        default=4,
        ge=2,
        description="Frames that the bank in force fails, alike, from which on they are a group that is not learnt "
        "until a person says what it is; null: none is.",
    )
    line_changed: float | None = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the window that fails by the bank in force from which on the line has changed: nothing "
        "is learnt, and the view is held until a person decides.",
    )
    anchored_drift: float | None = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Share of the window that may fail by the pinned reference bank: small steps must not hide a long "
        "way.",
    )
    verdict_churn: float | None = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of the window whose verdict may be another than by the bank in force.",
    )
    threshold_ratio: float | None = Field(
        default=1.5, gt=1, description="By how many times the threshold may rise or fall, where the input is the same."
    )
    score_shift: float | None = Field(
        default=0.2,
        gt=0,
        description="By how much the median of score over threshold of the window may move.",
    )
    noise_estimate: float | None = Field(
        default=0.3, gt=0, le=1, description="Share of the window that may be defective, by the bank's own estimate."
    )
    coverage: float | None = Field(
        default=0.5, gt=0, le=1, description="Share of the window's frames that the bank must have learnt from."
    )
    detection_drop: float | None = Field(
        default=0.2,
        gt=0,
        le=1,
        description="By how much the share of planted defects that are found may fall below that of the bank in force.",
    )
    golden_wrong: int | None = Field(
        default=0, ge=0, description="Frames with a person's word that may be decided wrongly."
    )
