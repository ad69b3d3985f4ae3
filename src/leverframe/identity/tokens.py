"""Access tokens: the signature, by the package PyJWT; all else, by `core.access_tokens`.

Never: keeps a token, logs one, or passes one on.
"""

from typing import Final

import jwt

from leverframe.core import canonical
from leverframe.core.access_tokens import TokenHeader, fits, judged, read_header
from leverframe.domain.access import Identified, TokenAccess
from leverframe.domain.errors import JsonInvalid, TokenRefused
from leverframe.domain.ids import TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.identity.issuer_keys import IssuerKeys
from leverframe.ports.clock import Clock
from leverframe.ports.tokens import Tokens

# What an issuer may have let slip of a private key is not read.
_PUBLIC: Final = ("kty", "n", "e", "crv", "x", "y")


class IssuerTokens(Tokens):
    """The tokens of one issuer."""

    def __init__(self, access: TokenAccess, keys: IssuerKeys, tenants: tuple[TenantId, ...], clock: Clock) -> None:
        self._access = access
        self._keys = keys
        self._tenants = tenants
        self._clock = clock
        self._jws = jwt.PyJWS(options={"enforce_minimum_key_length": True})

    async def identified(self, text: str) -> Identified:
        """Whose token this is."""
        header = read_header(text)
        keys = await self._keys.those(lambda key: fits(header, key))
        for key in keys:
            claims = self._claims(text, header, key)
            if claims is not None:
                return judged(claims, self._access, self._tenants, self._clock.now())
        raise TokenRefused(why="no key of the issuer made its signature")

    def _claims(self, text: str, header: TokenHeader, key: JsonObject) -> Json:
        """What stands in the token; None where this key did not sign it."""
        try:
            # The algorithm is the header's and fits the key's type: an RSA key is never a shared secret.
            public = {name: str(key[name]) for name in _PUBLIC if isinstance(key.get(name), str)}
            payload = self._jws.decode(text, jwt.PyJWK(public, header.algorithm), algorithms=[header.algorithm])
        except jwt.PyJWTError:
            return None
        try:
            return canonical.decode(payload)
        except JsonInvalid as err:
            raise TokenRefused(why="it makes no claims") from err
