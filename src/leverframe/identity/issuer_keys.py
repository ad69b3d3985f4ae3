"""The public keys of one issuer: found by discovery, kept for a while, asked for again when it rotates them.

Knows: that a token which names an unknown key is either newer than what is kept or forged, so that strangers' tokens
cost one question in ten seconds; that keys which cannot be asked for again serve for an hour at most.
Never: follows a redirect, takes an address from a token, or asks anything but HTTPS unless the project says so.
Sources: OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3; RFC 7517.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from leverframe.core import canonical
from leverframe.domain.errors import IssuerUnavailable, JsonInvalid, ProviderUnavailable
from leverframe.domain.json import JsonObject
from leverframe.net.client import HttpClient
from leverframe.net.exchange import HttpLost, HttpRequest, Limits
from leverframe.net.url import Url, parse_url

FRESH_S: Final = 300.0
LONGEST_S: Final = 3600.0
AGAIN_S: Final = 10.0
_LIMITS: Final = Limits(total_s=5.0, connect_s=3.0, max_body_bytes=256 << 10)
_MAX_KEYS: Final = 100
_OK: Final = 200


class IssuerKeys:
    """One for a process and its event loop."""

    def __init__(
        self,
        issuer: str,
        http: HttpClient,
        *,
        is_private_allowed: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._http = http
        self._is_private_allowed = is_private_allowed
        self._monotonic = monotonic
        self._keys: Sequence[JsonObject] = ()
        self._read_at: float | None = None
        self._tried_at = -AGAIN_S
        self._reading: asyncio.Task[None] | None = None

    async def those(self, fit: Callable[[JsonObject], bool]) -> Sequence[JsonObject]:
        """The keys that fit; the issuer is asked where none of the kept ones does, or they are old.

        Raises:
            IssuerUnavailable: there are none to look through.
        """
        age_s = None if self._read_at is None else self._monotonic() - self._read_at
        if age_s is None or age_s > LONGEST_S:
            await self._read()
        elif age_s > FRESH_S:
            # Beside the request, which the old ones serve.
            self._begin()
        found = [key for key in self._keys if fit(key)]
        # Who comes while the issuer is asked waits for what it says: that may be its key.
        is_asked = self._reading is not None and not self._reading.done()
        if found or (not is_asked and self._monotonic() - self._tried_at < AGAIN_S):
            return found
        with suppress(IssuerUnavailable):
            await self._read()
        return [key for key in self._keys if fit(key)]

    async def _read(self) -> None:
        # Shielded: a client that goes away leaves the others their answer.
        await asyncio.shield(self._begin())

    def _begin(self) -> "asyncio.Task[None]":
        """Ask, unless somebody does already."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._ask(), name="leverframe-issuer-keys")
            # Looked at, also where nobody waits for it.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._reading

    async def _ask(self) -> None:
        now = self._monotonic()
        if now - self._tried_at < AGAIN_S:
            raise self._unavailable("it could not be asked a moment ago")
        self._tried_at = now
        keys = (await self._get(await self._jwks_url())).get("keys")
        if not isinstance(keys, list | tuple) or len(keys) > _MAX_KEYS:
            raise self._unavailable("its list of keys is none")
        self._keys = tuple(key for key in keys if isinstance(key, Mapping))
        self._read_at = self._monotonic()

    async def _jwks_url(self) -> Url:
        """What the issuer's metadata says; of the two places where it may stand, the first that has it."""
        reasons: list[IssuerUnavailable] = []
        for place in self._places():
            try:
                metadata = await self._get(place)
            except IssuerUnavailable as err:
                reasons.append(err)
                continue
            if metadata.get("issuer") != self._issuer:
                # Another's word for it: with its keys, anybody's tokens would be good.
                raise self._unavailable(f"{place} speaks for the issuer {str(metadata.get('issuer'))[:200]!r}")
            return self._url(str(metadata.get("jwks_uri")))
        raise reasons[0]

    def _places(self) -> Sequence[Url]:
        issuer = self._url(self._issuer)
        path = issuer.path.rstrip("/")
        root = Url(scheme=issuer.scheme, host=issuer.host, port=issuer.port, path="/")
        return (
            issuer.below("/.well-known/openid-configuration"),
            root.below(f"/.well-known/oauth-authorization-server{path}"),
        )

    def _url(self, text: str) -> Url:
        try:
            url = parse_url(text)
        except ProviderUnavailable as err:
            raise self._unavailable(f"{text[:200]!r} is no address") from err
        if url.scheme != "https" and not self._is_private_allowed:
            raise self._unavailable(f"{url} is not HTTPS")
        return url

    async def _get(self, url: Url) -> JsonObject:
        headers = {"Accept": "application/json"}
        request = HttpRequest(method="GET", url=url, headers=headers, is_private_allowed=self._is_private_allowed)
        found = await self._http.send(request, _LIMITS)
        if isinstance(found, HttpLost):
            raise self._unavailable(found.message.rstrip("."))
        if found.status != _OK:
            raise self._unavailable(f"{url} answered {found.status}")
        try:
            value = canonical.decode(found.body)
        except JsonInvalid as err:
            raise self._unavailable(f"{url} answered no JSON") from err
        if not isinstance(value, Mapping):
            raise self._unavailable(f"{url} answered no JSON object")
        return value

    def _unavailable(self, why: str) -> IssuerUnavailable:
        return IssuerUnavailable(
            f"The issuer {self._issuer!r} cannot be asked for its keys: {why}.",
            next_move="Look at `access_tokens` of leverframe.yaml, and whether this machine reaches the issuer.",
        )
