"""`/v1/models`: what a key may ask for, in the form of both vendors at once.

Source: API references of OpenAI (list models) and Anthropic (list models); each client reads the fields that it knows.
"""

from leverframe.core.canonical import encode
from leverframe.domain.errors import LeverframeError
from leverframe.domain.json import Json
from leverframe.domain.relays import WireFormat
from leverframe.gateway import refusing
from leverframe.gateway.asgi_types import Scope, Send
from leverframe.gateway.exchange import answer, headers_of
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.selections import selection

_ROOT = "/v1/models"
_READ = frozenset({"GET", "HEAD"})
_SINCE = "2026-01-01T00:00:00Z"
_SINCE_S = 1_767_225_600


async def serve_models(live: LiveRuns, scope: Scope, send: Send) -> None:
    """Answer with all of them, or with one."""
    headers = headers_of(scope)
    wire = WireFormat.MESSAGES if "anthropic-version" in headers else WireFormat.CHAT
    try:
        caller = await live.recognise(headers)
        selected = selection(headers)
        contract = live.contract_of(caller.key, selected.workflow, selected.environment)
    except LeverframeError as err:
        await live.note(err)
        refusal = refusing.of_error(wire, err)
        await answer(send, refusal.status, refusal.body, refusal.headers)
        return
    if scope["method"] not in _READ:
        # A vendor's client that deletes a model would take its description for a yes.
        refusal = refusing.no_method(wire, scope["method"], "GET")
        await answer(send, refusal.status, refusal.body, refusal.headers)
        return
    tier = live.services.project.tiers.get(contract.tier, ())
    found = {contract.tier: _model(contract.tier, "leverframe")}
    found |= {one.model: _model(one.model, one.provider) for one in tier}
    name = scope["path"].removeprefix(_ROOT).strip("/")
    if name:
        await _one(send, wire, name, found)
        return
    names = list(found)
    told: dict[str, Json] = {
        "object": "list",
        "data": list(found.values()),
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }
    await answer(send, 200, encode(told))


async def _one(send: Send, wire: WireFormat, name: str, found: dict[str, dict[str, Json]]) -> None:
    if name in found:
        await answer(send, 200, encode(found[name]))
        return
    refusal = refusing.no_model(wire, name, list(found))
    await answer(send, refusal.status, refusal.body, refusal.headers)


def _model(name: str, owner: str) -> dict[str, Json]:
    return {
        "id": name,
        "object": "model",
        "created": _SINCE_S,
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": _SINCE,
    }
