"""The token of a run: lets an agent act in one run that somebody else opened, for a while.

Knows: how a token is spelled, signed with a key of its tenant and read again.  It says which run, which key's policy
the agent acts under, and until when; whoever holds it needs nothing else.  Never: says that the key still lives or
the run is open; whoever uses one asks that.
"""

import base64
import hmac
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import datetime

from leverframe.core.canonical import decode, encode
from leverframe.domain.errors import AuthRefused, JsonInvalid
from leverframe.domain.ids import KeyId, RunId, TenantId
from leverframe.domain.time import from_us, to_us
from leverframe.ports.fingerprints import Fingerprints

PREFIX = "lfr_"
_DOMAIN = "run-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToken:
    """What a token says."""

    run_id: RunId
    tenant: TenantId
    key_id: KeyId
    expires_at: datetime


def spell(token: RunToken, fingerprints: Fingerprints) -> str:
    """`lfr_<what it says>.<its MAC>`."""
    said = encode(
        {
            "run": token.run_id,
            "tenant": token.tenant,
            "key": token.key_id,
            "until": to_us(token.expires_at),
        }
    )
    return f"{PREFIX}{_b64(said)}.{_b64(fingerprints.fingerprint(token.tenant, _DOMAIN, said))}"


def read(text: str, fingerprints: Fingerprints, tenants: tuple[TenantId, ...], now: datetime) -> RunToken:
    """What a token of one of these tenants says.

    Raises:
        AuthRefused: it was not made here, or has expired.
    """
    body, _, mac = text.removeprefix(PREFIX).partition(".")
    try:
        said, given = _unb64(body), _unb64(mac)
        found = decode(said)
    except (ValueError, NotBase64, JsonInvalid) as err:
        raise AuthRefused(why="malformed") from err
    if not isinstance(found, dict) or found.get("tenant") not in tenants:
        raise AuthRefused(why="unknown")
    tenant, until = TenantId(str(found["tenant"])), found.get("until")
    if not hmac.compare_digest(given, fingerprints.fingerprint(tenant, _DOMAIN, said)) or not isinstance(until, int):
        raise AuthRefused(why="wrong-secret")
    token = RunToken(
        run_id=RunId(str(found["run"])),
        tenant=tenant,
        key_id=KeyId(str(found["key"])),
        expires_at=from_us(until),
    )
    if now >= token.expires_at:
        raise AuthRefused(why="expired", key_id=token.key_id, tenant=tenant)
    return token


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
