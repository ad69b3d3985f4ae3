"""Issuers that can be asked what a credential may do: the credential itself, GitHub, an authorization server.

Knows: where each writes the scopes.  Never: takes a JWT's claims for more than what its issuer wrote there (it is our
own credential, and the service behind it decides), follows a redirect, or puts a value into a message.
Sources: RFC 7662 (introspection); RFC 9068, section 2.2.3; GitHub REST, "Scopes for OAuth apps" (X-OAuth-Scopes).
"""

import base64
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from leverframe.core import canonical
from leverframe.domain.credentials import CredentialGrant, CredentialIssuer, SaidBy
from leverframe.domain.errors import JsonInvalid, ProviderUnavailable, SecretUnavailable
from leverframe.domain.json import Json
from leverframe.net.client import HttpClient
from leverframe.net.exchange import HttpAnswer, HttpLost, HttpRequest, Limits
from leverframe.net.url import parse_url
from leverframe.ports.issuers import Issuers
from leverframe.ports.secrets import Secrets

_LIMITS: Final = Limits(total_s=10.0, connect_s=5.0, max_body_bytes=256 << 10)
_GITHUB: Final = "https://api.github.com"
_OK, _UNAUTHORIZED = 200, 401
_JWT_PARTS: Final = 3


class HttpIssuers(Issuers):
    """All issuers of a project."""

    def __init__(self, http: HttpClient, secrets: Secrets) -> None:
        self._http = http
        self._secrets = secrets

    async def granted(self, value: str, issuer: CredentialIssuer | None) -> CredentialGrant:
        """What this credential may do."""
        if issuer is None or issuer.said_by is SaidBy.JWT:
            return _of_jwt(value, is_told=issuer is not None)
        try:
            if issuer.said_by is SaidBy.GITHUB:
                return await self._of_github(value, issuer)
            return await self._of_introspection(value, issuer)
        except (ProviderUnavailable, SecretUnavailable) as err:
            return CredentialGrant(unknown_because=err.message.rstrip("."))

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()

    async def _of_github(self, value: str, issuer: CredentialIssuer) -> CredentialGrant:
        found = await self._asked("GET", issuer, issuer.url or _GITHUB, {"Authorization": f"Bearer {value}"})
        if isinstance(found, CredentialGrant):
            return found
        if "x-oauth-scopes" not in found.headers:
            # A fine-grained token and that of an app have permissions in place of scopes, which GitHub lists nowhere.
            return CredentialGrant(unknown_because="GitHub lists no scopes of a token of this kind", is_mute=True)
        return CredentialGrant(scopes=_words(found.headers["x-oauth-scopes"].replace(",", " ")))

    async def _of_introspection(self, value: str, issuer: CredentialIssuer) -> CredentialGrant:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if issuer.client_id:
            secret = await self._secrets.resolved(issuer.client_secret) if issuer.client_secret else ""
            # RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
            pair = f"{quote(issuer.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        body = urlencode({"token": value, "token_type_hint": "access_token"}).encode()
        found = await self._asked("POST", issuer, issuer.url, headers, body)
        if isinstance(found, CredentialGrant):
            return found
        try:
            said = canonical.decode(found.body)
        except JsonInvalid:
            said = None
        if not isinstance(said, Mapping) or not isinstance(said.get("active"), bool):
            return CredentialGrant(unknown_because=f"{issuer.url} does not answer as RFC 7662 has it")
        if said["active"] is False:
            return CredentialGrant(unknown_because="its issuer says that it is not active")
        if "scope" not in said:
            return CredentialGrant(unknown_because="its issuer lists no scopes", is_mute=True)
        return CredentialGrant(scopes=_words(said["scope"]))

    async def _asked(
        self, method: str, issuer: CredentialIssuer, address: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer | CredentialGrant:
        url = parse_url(address)
        sent = {"Accept": "application/json", "User-Agent": "leverframe", **headers}
        allowed = issuer.allows_private_hosts
        request = HttpRequest(method=method, url=url, headers=sent, body=body, is_private_allowed=allowed)
        found = await self._http.send(request, _LIMITS)
        if isinstance(found, HttpLost):
            return CredentialGrant(unknown_because=found.message.rstrip("."))
        if found.status == _UNAUTHORIZED:
            return CredentialGrant(unknown_because=f"{url} does not take it, or us (HTTP status {found.status})")
        if found.status != _OK:
            return CredentialGrant(unknown_because=f"{url} answered {found.status}")
        return found


def _of_jwt(value: str, *, is_told: bool) -> CredentialGrant:
    parts = value.split(".")
    claims: Json = None
    if len(parts) == _JWT_PARTS:
        try:
            payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
            claims = canonical.decode(payload)
        except (NotBase64, ValueError, JsonInvalid):
            claims = None
    if not isinstance(claims, Mapping):
        why = "it is no JWT" if is_told else "nobody is named who could say"
        return CredentialGrant(unknown_because=why, is_mute=not is_told)
    if "scope" not in claims and "scp" not in claims:
        return CredentialGrant(unknown_because="it is a JWT without scopes", is_mute=True)
    return CredentialGrant(scopes=_words(claims.get("scope")) | _words(claims.get("scp")))


def _words(value: Json) -> frozenset[str]:
    """A list of scopes, in any of the forms that they come in."""
    parts: Iterable[str] = ()
    if isinstance(value, str):
        parts = value.split()
    elif isinstance(value, list | tuple):
        parts = (one for one in value if isinstance(one, str))
    return frozenset(part for part in parts if part)
