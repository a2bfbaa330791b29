"""Signing in by OpenID Connect; Authlib speaks the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitoring.console.roles import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from monitoring.console.settings import OidcSettings


class ProviderFailed(Exception):
    """The identity provider did not say who the person is."""


class MissingOidc(Exception):
    """The oidc extra is not installed."""

    def __init__(self) -> None:
        super().__init__("console.oidc needs the oidc extra: pip install 'patchline[oidc]'")


class IdentityProvider:
    """The plant's identity provider. Raises MissingOidc."""

    def __init__(self, settings: OidcSettings) -> None:
        try:
            from authlib.integrations.starlette_client import OAuth  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise MissingOidc from error
        self._settings = settings
        self._client: Any = OAuth().register(
            name="plant",
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
        )

    async def redirect(self, request: Request, back: str) -> Any:  # noqa: ANN401 -- the library's answer
        """To the provider's own page."""
        return await self._client.authorize_redirect(request, back)

    async def person(self, request: Request) -> tuple[str, Role]:
        """Name and role of the person who comes back. Raises ProviderFailed."""
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 -- an extra

        try:
            token = await self._client.authorize_access_token(request)
        except (AuthlibBaseError, OSError, ValueError) as error:
            raise ProviderFailed(str(error)) from error
        claims = token.get("userinfo") or {}
        name = claims.get(self._settings.name_claim) or claims.get("sub")
        if not name:
            raise ProviderFailed(f"no claim {self._settings.name_claim}")
        return str(name), role_by(claims, self._settings)


def role_by(claims: Mapping[str, Any], settings: OidcSettings) -> Role:
    """The largest role that a person's groups give; none of them: viewer."""
    groups = claims.get(settings.role_claim) or []
    named = [groups] if isinstance(groups, str) else groups
    roles = [settings.roles[group] for group in named if group in settings.roles]
    order = list(Role)
    return max(roles, key=order.index, default=Role.VIEWER)
