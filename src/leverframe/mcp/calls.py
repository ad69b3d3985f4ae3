"""One request of a client as calls of its run: asked, waited for where it is held, asked again with answers.

Knows: how long a held call is waited for (`approval.hold_wait_s`), and that a server's questions end the call in the
2026-07-28 protocol.  Never: takes an answer to a question for an approval; only the approval's own record grants.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.errors import LeverframeError
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import McpOrigin, ToolSpec
from leverframe.mcp.guests import ApprovalUrl
from leverframe.mcp.questions import ForeignState, opened, sealed
from leverframe.mcp.rendering import ShownAs, refusal, result_of
from leverframe.mcp.requests import guest_of
from leverframe.mcp.talk import Context, Talk
from leverframe.mcp.values import PlainJson, exact_object, plain
from leverframe.ports.conversation import Exchange, InputNeeded, exchange
from leverframe.runtime.outcomes import Failed, HeldBack, Stopped, ToolOutcome
from leverframe.runtime.outside import OutsideRun

_HELD: Final = "leverframe-held:"
_LOOK_EVERY_S: Final = 0.2
_MAX_ROUNDS: Final = 10
_CAN_BE_ASKED: Final = frozenset({"elicitation", "sampling", "roots"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A call as the client sent it."""

    context: Context
    run: OutsideRun
    talk: Talk
    answers: JsonObject
    state: str
    step: str
    approval_url: ApprovalUrl

    @property
    def is_modern(self) -> bool:
        """Whether questions go out with the result, since there is no way back while the call is under way."""
        return not self.context.session.can_send_request

    @property
    def shown_as(self) -> ShownAs:
        """How the run shows untrusted text."""
        ctx = self.run.ctx
        return ShownAs(untrusted=ctx.contract.context.untrusted, marker=ctx.marker)

    def spec(self, tool: str) -> ToolSpec | None:
        """The tool, where the contract has it."""
        return self.run.ctx.contract.tools.get(ToolName(tool))


async def called(asking: Asking, tool: str, arguments: JsonObject) -> dict[str, PlainJson]:
    """A `tools/call`: its result, or an `InputRequiredResult`."""
    outcome, needed = await done(asking, tool, arguments)
    if isinstance(needed, InputNeeded):
        return required(needed, sealed(asking.run, tool, arguments, needed))
    if isinstance(outcome, HeldBack):
        page = asking.approval_url(outcome.approval_id)
        if page and asking.is_modern and not asking.state.startswith(_HELD) and _can_open_pages(asking.context):
            return _sent_to_page(outcome, page)
    return result_of(outcome, asking.spec(tool), asking.approval_url, asking.shown_as)


async def done(asking: Asking, tool: str, arguments: JsonObject) -> tuple[ToolOutcome, InputNeeded | None]:
    """Ask the door, as often as the server asks for more; wait where the call is held."""
    outcome, needed = await _asked(asking, tool, arguments)
    if isinstance(outcome, Stopped):
        await guest_of(asking.context).stopped(asking.run, outcome)
    return outcome, needed


async def _asked(asking: Asking, tool: str, arguments: JsonObject) -> tuple[ToolOutcome, InputNeeded | None]:
    answers, state = await _brought(asking, tool, arguments)
    came_unasked = not asking.state
    for _ in range(_MAX_ROUNDS):
        round_ = Exchange(
            conversation=asking.talk,
            answers=answers,
            state=state,
            can_answer=_can_answer(asking.context),
            has_way_back=not asking.is_modern,
            log_level=asking.talk.log_level,
        )
        inner = exchange.set(round_)
        try:
            outcome = await asking.run.call_tool(tool, arguments, step=asking.step)
            outcome = await _waited(asking.run, outcome, tool, arguments)
        finally:
            exchange.reset(inner)
        if round_.refused and isinstance(outcome, Failed):
            lacks = round_.lacks & _CAN_BE_ASKED
            data: JsonObject | None = {"requiredCapabilities": {kind: {} for kind in lacks}} if lacks else None
            raise MCPError(round_.refused, outcome.message, data)
        if round_.needed is None:
            return outcome, None
        spec = asking.spec(tool)
        server = spec.origin.server if spec is not None and isinstance(spec.origin, McpOrigin) else ""
        answers, state = await _put(asking, server, round_.needed), round_.needed.state
        if asking.is_modern:
            if not (came_unasked and round_.needed.requests.keys() <= asking.answers.keys()):
                return outcome, round_.needed
            # The client said beforehand what it would be asked: the server gets that, and no more than it asked for.
            came_unasked = False
            answers = await _answered(asking, server, round_.needed.requests)
    return outcome, None


def required(needed: InputNeeded, state: str) -> dict[str, PlainJson]:
    """A server's questions, for a client of the 2026-07-28 protocol to answer."""
    return {"resultType": "input_required", "inputRequests": plain(needed.requests), "requestState": state}


def problem(err: LeverframeError) -> dict[str, PlainJson]:
    """A call that the runtime refused to take."""
    return refusal(f"{err.message}  {err.next_move}".strip(), err.slug)


async def _brought(asking: Asking, tool: str, arguments: JsonObject) -> tuple[JsonObject, str]:
    """The answers to what was asked before, each decided and recorded with its question, and the server's own state."""
    if asking.state.startswith(_HELD):
        return {}, ""
    try:
        put = opened(asking.run, tool, arguments, asking.state)
    except ForeignState as err:
        raise MCPError(types.INVALID_PARAMS, "The requestState is not one that was given out for this call") from err
    spec = asking.spec(tool)
    server = spec.origin.server if spec is not None and isinstance(spec.origin, McpOrigin) else ""
    answers = await _answered(asking, server, put.requests)
    return answers, put.state


async def _answered(asking: Asking, server: str, requests: Mapping[str, Json]) -> JsonObject:
    """The client's answers to these questions, each decided and recorded; others that it sent are dropped."""
    answers: dict[str, Json] = {}
    for key, request in requests.items():
        if key in asking.answers and isinstance(request, Mapping):
            method, params = str(request.get("method")), exact_object(request.get("params") or {})
            answers[key] = await asking.talk.answered(server, method, params, exact_object(asking.answers[key]))
    return answers


async def _put(asking: Asking, server: str, needed: InputNeeded) -> JsonObject:
    """Have every question decided and recorded; with a way back, have it answered too."""
    answers: dict[str, Json] = {}
    for key, request in needed.requests.items():
        one = request if isinstance(request, Mapping) else {}
        answers[key] = await asking.talk.pass_on(server, str(one.get("method")), exact_object(one.get("params") or {}))
    return answers


async def _waited(run: OutsideRun, outcome: ToolOutcome, tool: str, arguments: JsonObject) -> ToolOutcome:
    """The outcome of a held call, where a person answers within `hold_wait_s`; else that it is held."""
    loop = asyncio.get_running_loop()
    until = loop.time() + run.ctx.contract.hold_wait_s
    while isinstance(outcome, HeldBack) and loop.time() < until:
        approval = await run.ctx.services.approvals.approval(outcome.approval_id)
        if approval is not None and approval.state is not ApprovalState.PENDING:
            outcome = await run.collect(outcome.path, tool, arguments)
            if not isinstance(outcome, HeldBack):
                return outcome
        await asyncio.sleep(min(_LOOK_EVERY_S, max(until - loop.time(), 0.0)))
    return outcome


def _can_open_pages(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None and bool(capabilities.elicitation.url)


def _can_answer(context: Context) -> frozenset[str]:
    """What the client says that it can be asked."""
    said = context.session.client_capabilities
    if said is None:
        return frozenset()
    kinds = {"elicitation": said.elicitation, "sampling": said.sampling, "roots": said.roots}
    return frozenset(name for name, one in kinds.items() if one is not None)


def _sent_to_page(held: HeldBack, page: str) -> dict[str, PlainJson]:
    """Send the person to the approval's page.  That they went there grants nothing; the page's own answer does."""
    params = {"mode": "url", "url": page, "message": held.message, "elicitationId": held.approval_id}
    request = {"method": "elicitation/create", "params": params}
    return {
        "resultType": "input_required",
        "inputRequests": {"approval": request},
        "requestState": f"{_HELD}{held.approval_id}",
    }
