"""The `watch` section of `patchline.yaml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from monitoring.verdicts import DriftVerdictLabel


class WatchSettings(BaseModel):
    """One drift service. Plain values; nothing here reads the environment, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metrics_host: str = Field(default="127.0.0.1", description="The address that the metrics port is opened on.")
    metrics_port: int = Field(
        default=9403, ge=0, lt=2**16, description="Of /metrics, /healthz and /readyz; 0: a free one."
    )
    frames_per_false_alarm: float = Field(
        default=100_000, ge=1000, description="An undisturbed view raises one false alarm in so many frames at most."
    )
    replay_decisions: int = Field(
        default=20_000, ge=0, description="Offsets of each partition read again at a start: what was known is known."
    )
    remembered_decisions: int = Field(
        default=10_000, ge=1, description="Per partition: how far back a repeated decision id is recognised."
    )
    rebuild_on: tuple[DriftVerdictLabel, ...] = Field(
        default=(), description="Verdicts that request a new bank of the trainer, once they have lasted."
    )
    rebuild_after_frames: int = Field(
        default=400,
        ge=1,
        description="How long an episode lasts until a bank is requested: as many frames as a window holds.",
    )
    forget_after_seconds: float = Field(
        default=3600, gt=0, description="A view silent for so long is given up, and its series disappear."
    )
    views: int = Field(
        default=2000, ge=1, description="Views followed at most; the longest silent one gives way. 0.35 MB each."
    )
    distances_every_seconds: float = Field(
        default=15, gt=0, description="Between two measurements of a view's distances; each takes 10 ms."
    )
    poll_seconds: float = Field(default=0.2, gt=0, description="Longest wait for decisions.")
    commit_seconds: float = Field(default=2, gt=0, description="Between two commits of what has been followed.")
    retry_seconds: float = Field(
        default=10, gt=0, description="Between two tries at a store that does not give a bank."
    )
    silence_seconds: float = Field(
        default=60, gt=0, description="Longest silence of the loop before /healthz says it hangs."
    )
