"""The `console` section of `patchline.yaml`."""

from __future__ import annotations

from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from monitoring.console.roles import Role

Language = Literal["en", "de", "zh"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OidcSettings(BaseModel):
    """Signing in by the plant's identity provider (OpenID Connect); without an issuer it is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(default="", description="Its address; /.well-known/openid-configuration is read below it.")
    client_id: str = Field(default="", description="What the provider calls this console.")
    client_secret: str = Field(default="", repr=False, description="What it proves itself with.")
    name_claim: str = Field(default="preferred_username", description="The claim that says who a person is.")
    role_claim: str = Field(default="groups", description="The claim that lists a person's groups.")
    roles: dict[str, Role] = Field(default_factory=dict, description="The role of each group; no group: viewer.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.issuer and not (self.client_id and self.client_secret):
            raise ValueError("an issuer needs client_id and client_secret")
        return self


class ConsoleSettings(BaseModel):
    """One console. Plain values; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field(default="127.0.0.1", min_length=1, description="The address that pages are served on.")
    port: int = Field(default=9480, ge=0, lt=2**16, description="Of the pages; 0: a free one.")
    names: tuple[str, ...] = Field(
        default=LOOPBACK, min_length=1, description="The names by which browsers reach it; others are refused."
    )
    open_viewing: bool = Field(
        default=True, description="On this machine alone, pages may be looked at without signing in; actions never."
    )
    secure_cookie: bool = Field(default=False, description="Behind a proxy with https: cookies by https alone.")
    session_hours: float = Field(default=12, gt=0, description="How long a person stays signed in.")
    time_zone: str | None = Field(default=None, description="Of the plant, as Europe/Berlin; null: this machine's.")
    language: Language = Field(default="en", description="Where a browser asks for none that there is.")
    silent_seconds: float = Field(default=60, gt=0, description="A view without decisions for so long is marked.")
    shifts: str = Field(default="06:00,14:00,22:00", description="When shifts begin, by the plant's clock.")
    oidc: OidcSettings = OidcSettings()

    @property
    def needs_login(self) -> bool:
        """Whether pages are shown to those alone who signed in: always beyond this machine."""
        return self.host not in LOOPBACK or not self.open_viewing

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"{name} is no time zone: write Europe/Berlin, or leave it away") from None
        return name
