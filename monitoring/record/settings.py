"""The `record` section of `patchline.yaml`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.decision import Verdict

GIB = 2**30


class PictureLimits(BaseModel):
    """How long the pictures of one verdict are kept: until either limit is met, the oldest go first."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    days: float = Field(gt=0, description="Older pictures go.")
    bytes: int = Field(ge=0, description="Of all pictures of this verdict; beyond it the oldest go.")


class RecordSettings(BaseModel):
    """One recorder, and where the history lies. Plain values; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    database: str = Field(
        default="sqlite:///patchline-data/record.sqlite",
        min_length=1,
        description="Where decisions are kept: sqlite:///file, or postgresql+psycopg://user:password@host/database.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="The address that the metrics port is opened on.")
    metrics_port: int = Field(
        default=9405, ge=0, lt=2**16, description="Of /metrics, /healthz and /readyz; 0: a free one."
    )
    decision_days: float = Field(default=400, gt=0, description="How long decisions are kept, without their pictures.")
    pass_every_seconds: float = Field(
        default=30, ge=0, description="Of passes one picture a view in so many seconds is kept; 0: every one."
    )
    pass_pictures: PictureLimits = PictureLimits(days=7, bytes=2 * GIB)
    fail_pictures: PictureLimits = PictureLimits(days=90, bytes=20 * GIB)
    undecided_pictures: PictureLimits = PictureLimits(days=30, bytes=5 * GIB)
    thumbnail_px: int = Field(default=320, ge=32, le=2000, description="The longer side of a thumbnail.")
    retention_seconds: float = Field(default=60, gt=0, description="Between two looks for what has expired.")
    poll_seconds: float = Field(default=0.2, gt=0, description="Longest wait for decisions.")
    silence_seconds: float = Field(
        default=60, gt=0, description="Longest silence of the loop before /healthz says it hangs."
    )

    @model_validator(mode="after")
    def _decisions_outlive_their_pictures(self) -> Self:
        if self.decision_days < max(self.pictures_of(verdict).days for verdict in Verdict):
            raise ValueError("decision_days must be at least the days of every verdict's pictures")
        return self

    def pictures_of(self, verdict: Verdict) -> PictureLimits:
        """The limits of one verdict's pictures."""
        return {
            Verdict.PASS: self.pass_pictures,
            Verdict.FAIL: self.fail_pictures,
            Verdict.UNDECIDED: self.undecided_pictures,
        }[verdict]
