"""The questions that went out with a result, as a text that the client brings back with its answers.

Knows: that whoever answers is no more trusted than whoever calls.  What comes back is taken only where this gateway put
those very questions, to this run, for this tool and these arguments; answers to nothing that was asked are dropped.
Else an agent could hand a server, beside its arguments, what no rule has seen.
Source: MCP specification 2026-07-28, `requestState` (a server must not trust it as it comes back).
"""

import base64
import hmac
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject
from leverframe.ports.conversation import InputNeeded
from leverframe.runtime.outside import OutsideRun

PREFIX: Final = "leverframe-asked:"
_DOMAIN: Final = "mcp-request-state"
_MAX_CHARS: Final = 1 << 20


class ForeignState(Exception):
    """A state that this gateway did not give out for this call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What was asked, and the server's own state; empty: nothing."""

    requests: Mapping[str, Json] = field(default_factory=dict)
    state: str = ""


def sealed(run: OutsideRun, tool: str, arguments: JsonObject, needed: InputNeeded) -> str:
    """The text to give out with these questions."""
    said = canonical.encode({"requests": needed.requests, "state": needed.state})
    return f"{PREFIX}{_b64(said)}.{_b64(_mac(run, tool, arguments, said))}"


def opened(run: OutsideRun, tool: str, arguments: JsonObject, text: str) -> Put:
    """What was asked.

    Raises:
        ForeignState: it was not given out here, or for another call.
    """
    if not text:
        return Put()
    if not text.startswith(PREFIX) or len(text) > _MAX_CHARS:
        raise ForeignState
    body, _, mac = text.removeprefix(PREFIX).partition(".")
    try:
        said, given = _unb64(body), _unb64(mac)
    except (ValueError, NotBase64) as err:
        raise ForeignState from err
    # Nothing of it is read before it is known to be ours.
    if not hmac.compare_digest(given, _mac(run, tool, arguments, said)):
        raise ForeignState
    found = canonical.decode(said)
    requests = found.get("requests") if isinstance(found, Mapping) else None
    state = found.get("state") if isinstance(found, Mapping) else ""
    return Put(requests=requests if isinstance(requests, Mapping) else {}, state=str(state))


def _mac(run: OutsideRun, tool: str, arguments: JsonObject, said: bytes) -> bytes:
    whole: list[Json] = [run.run_id, tool, arguments, sha256(said).hexdigest()]
    return run.ctx.services.fingerprints.fingerprint(run.ctx.run.tenant, _DOMAIN, canonical.encode(whole))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
