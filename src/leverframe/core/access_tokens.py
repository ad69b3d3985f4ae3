"""What an access token must say before anybody is let in with it.  Pure; the signature is `identity.tokens`' affair.

Knows: the form of a signed token, the algorithms that are taken (asymmetric ones alone: with a shared secret, whoever
may check a token may make one), and that a claim of the wrong type is no claim.
Never: trusts a header beyond the choice among keys that the issuer itself lists; `jku`, `jwk`, `x5u` and `x5c` are not
looked at, and one that must be understood (`crit`) refuses the token.
Sources: RFC 7515, 7519, 8725 (best practices), 9068 (JWT access tokens), 8707 (resource indicators), 6750.
"""

import base64
import re
from binascii import Error as NotBase64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from leverframe.core import canonical
from leverframe.domain.access import Identified, TokenAccess
from leverframe.domain.errors import JsonInvalid, ScopeMissing, TokenRefused
from leverframe.domain.ids import PrincipalId, TenantId, WorkflowName
from leverframe.domain.json import Json, JsonObject

# Algorithm -> the keys that it may be checked with: type, and curve where the type has several.
ALGORITHMS: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
LEEWAY_S: Final = 30
MAX_CHARS: Final = 16_384
_PARTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_MAX_SUBJECT_CHARS: Final = 255  # OpenID Connect Core, section 2
_MAX_KID_CHARS: Final = 256
_LATEST: Final = 253_402_300_799  # the last second that a datetime holds


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeader:
    """How a token says that it is signed.  `key_id` is empty where it does not say with which key."""

    algorithm: str
    key_id: str = ""


def looks_like_token(text: str) -> bool:
    """Whether a credential has the form of a signed token, and none of ours."""
    return text.count(".") == 2 and text.startswith("eyJ")  # noqa: PLR2004 header, claims, signature


def read_header(text: str) -> TokenHeader:
    """The header of a token whose signature nobody has checked yet.

    Raises:
        TokenRefused: it is no token, or asks for what is not done.
    """
    if len(text) > MAX_CHARS or _PARTS.fullmatch(text) is None:
        raise TokenRefused(why="it is no signed token")
    try:
        part = text.partition(".")[0]
        found = canonical.decode(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (NotBase64, ValueError, JsonInvalid) as err:
        raise TokenRefused(why="it is no signed token") from err
    if not isinstance(found, Mapping):
        raise TokenRefused(why="it is no signed token")
    algorithm, key_id, type_ = found.get("alg"), found.get("kid", ""), found.get("typ", "")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused(why="it is signed in a way that is not taken")
    if "crit" in found or "b64" in found:
        raise TokenRefused(why="its header asks for an extension")
    if not isinstance(key_id, str) or len(key_id) > _MAX_KID_CHARS:
        raise TokenRefused(why="its header names no key")
    if not isinstance(type_, str) or type_.lower() not in _TYPES:
        raise TokenRefused(why="it is a token of another type")
    return TokenHeader(algorithm=algorithm, key_id=key_id)


def fits(header: TokenHeader, key: JsonObject) -> bool:
    """Whether a key of the issuer (RFC 7517) is one to check this token with."""
    type_, curve = ALGORITHMS[header.algorithm]
    operations = key.get("key_ops")
    return (
        key.get("kty") == type_
        and (not curve or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list | tuple) and "verify" in operations))
        and key.get("alg", header.algorithm) == header.algorithm
        and (not header.key_id or key.get("kid") == header.key_id)
    )


def judged(claims: Json, access: TokenAccess, tenants: Collection[TenantId], now: datetime) -> Identified:
    """Who a token is for, once its signature is right.

    Raises:
        TokenRefused: it is of another issuer, for another audience, too old, too new, or says too little.
        ScopeMissing: it is all right and lacks a scope.
    """
    if not isinstance(claims, Mapping):
        raise TokenRefused(why="it makes no claims")
    if claims.get("iss") != access.issuer:
        raise TokenRefused(why="another issuer made it")
    if access.audience not in _texts(claims.get("aud")):
        raise TokenRefused(why="it is for another audience")
    expires_at = _checked_times(claims, now)
    subject, name = claims.get("sub"), _at(claims, access.claims.principal)
    if not _is_plain(subject) or not _is_plain(name):
        raise TokenRefused(why="it does not say whose it is")
    tenant = _tenant(claims, access, tenants)
    have = {*_words(claims.get("scope")), *_words(claims.get("scp"))}
    if not have >= set(access.scopes):
        raise ScopeMissing(scopes=access.scopes)
    workflows = access.workflows
    if access.claims.workflows:
        said = {WorkflowName(one) for one in _words(_at(claims, access.claims.workflows))}
        workflows = frozenset(said & workflows if workflows else said)
    issued_at = claims.get("iat")
    return Identified(
        issuer=access.issuer,
        subject=str(subject),
        principal=PrincipalId(str(name)),
        tenant=tenant,
        workflows=workflows,
        issued_at=now if issued_at is None else datetime.fromtimestamp(int(_seconds(issued_at)), UTC),
        expires_at=expires_at,
    )


def _checked_times(claims: JsonObject, now: datetime) -> datetime:
    if "exp" not in claims:
        raise TokenRefused(why="it does not say how long it is good")
    expires, seconds = _seconds(claims["exp"]), Decimal(str(now.timestamp()))
    if seconds >= expires + LEEWAY_S:
        raise TokenRefused(why="it has expired")
    for name in ("nbf", "iat"):
        if name in claims and _seconds(claims[name]) > seconds + LEEWAY_S:
            raise TokenRefused(why="it is not good yet")
    # Its own word, without the leeway, once that is past: what is opened with it ends then.
    return datetime.fromtimestamp(int(expires) + LEEWAY_S, UTC)


def _seconds(value: Json) -> Decimal:
    """A NumericDate.  A text or a truth value is none, whatever Python would make of it."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= _LATEST - LEEWAY_S:
        raise TokenRefused(why="a time in it is none")
    return Decimal(value)


def _tenant(claims: JsonObject, access: TokenAccess, tenants: Collection[TenantId]) -> TenantId:
    if not access.claims.tenant:
        # The configuration asks for the claim where there are several.
        return next(iter(tenants))
    said = _at(claims, access.claims.tenant)
    if not isinstance(said, str) or said not in tenants:
        raise TokenRefused(why="it is of no tenant of this project")
    return TenantId(said)


def _at(claims: JsonObject, place: str) -> Json:
    if not place.startswith("/"):
        return claims.get(place)
    found: Json = claims
    for part in place[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _words(value: Json) -> tuple[str, ...]:
    """A claim that lists names: a list of texts, or one text with blanks between them."""
    return tuple(value.split(" ")) if isinstance(value, str) else _texts(value)


def _texts(value: Json) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(str(one) for one in value)
    return ()


def _is_plain(value: Json) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_SUBJECT_CHARS and value.isprintable()
