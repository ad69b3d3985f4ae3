"""The MCP server that agents see, on the protocol package's low-level server: every request becomes calls of a run."""

from typing import Any, Final

import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import validate_mcp_param_headers
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from leverframe import __version__
from leverframe.core.canonical import encode
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.errors import LeverframeError
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import McpPart, ToolSpec
from leverframe.mcp.calls import Asking, called, done, problem, required
from leverframe.mcp.catalog import catalog, owner_of
from leverframe.mcp.changes import Changes
from leverframe.mcp.guests import ApprovalUrl
from leverframe.mcp.questions import sealed
from leverframe.mcp.rendering import COMPLETE, META, listed_specs, part_of, refusal, tool_of
from leverframe.mcp.requests import not_found_code, resource_of, run_of, session_of
from leverframe.mcp.talk import Context, Talk
from leverframe.mcp.tool_lists import ToolLists, beside
from leverframe.mcp.values import PlainJson, exact_object, plain
from leverframe.mcp.watching import Watching
from leverframe.ports.conversation import Unanswerable
from leverframe.ports.upstreams import Listing, Upstreams
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun

_MAX_LEVELS: Final = 10_000
# What a list may be kept for; it is the key's own, and a contract changes with a release.
_FRESH_MS: Final = 5_000
_CACHED: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "server/discover",
)


class _Telling(Server[PlainJson]):
    """The package's server, which says at the handshake that it tells of changed lists."""

    # Any: as the package has them.
    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the package does."""
        told = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(
            notification_options or told, experimental_capabilities, extensions
        )


class AgentServer:
    """The handlers.  One for a process; what a request may see is its guest's run."""

    def __init__(self, upstreams: Upstreams, approval_url: ApprovalUrl, *, has_sessions: bool) -> None:
        self._upstreams = upstreams
        self._approval_url = approval_url
        self._levels: dict[str, str] = {}  # by session: the lowest level of log lines that it asked for
        self._changes = Changes(upstreams)
        self._has_sessions = has_sessions
        self._tool_lists = ToolLists(has_sessions=has_sessions)
        self._watching = Watching(upstreams, self._changes, self._asking)

    def ended(self, session_id: str) -> None:
        """A session is over."""
        self._levels.pop(session_id, None)
        self._changes.ended(session_id)
        self._watching.ended(session_id)

    def build(self) -> Server[PlainJson]:
        """The package's server with these handlers."""
        server = _Telling(
            "leverframe",
            version=__version__,
            # Its own look at the headers would list every tool for each call; `_call_tool` has the one schema at hand.
            get_tool_input_schema=_no_schema,
            cache_hints={method: CacheHint(ttl_ms=_FRESH_MS, scope="private") for method in _CACHED},
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._lists(Listing.RESOURCES),
            on_list_resource_templates=self._lists(Listing.TEMPLATES),
            on_read_resource=self._read_resource,
            on_list_prompts=self._lists(Listing.PROMPTS),
            on_get_prompt=self._get_prompt,
            on_completion=self._complete,
            on_subscriptions_listen=self._watching.listen,
            # Without a session there is no stream to tell it on, so it is not offered there.
            on_subscribe_resource=self._watching.subscribe if self._has_sessions else None,
            on_unsubscribe_resource=self._watching.unsubscribe if self._has_sessions else None,
        )
        server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self._set_level)
        # In place of its spans, which would be beside ours, for each message.
        server.middleware[:] = [self._listed]
        return server

    async def _listed(self, ctx: Context, call_next: CallNext) -> PlainJson:
        context = ctx
        if not context.method.endswith("/list") or context.request_id is None:
            return await call_next(context)
        run = await run_of(context)
        self._changes.looked(session_of(context), context, run.ctx.contract)
        if context.method != "tools/list":
            return await call_next(context)
        return await self._tool_lists.answer(context, run.ctx.contract, self._changes.missing(), call_next)

    async def _list_tools(self, context: Context, params: types.PaginatedRequestParams | None) -> PlainJson:
        del params
        run = await run_of(context)
        contract = run.ctx.contract
        tools = [tool_of(spec, contract.context.untrusted) for spec in listed_specs(contract)]
        return {**COMPLETE, "tools": tools}

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> PlainJson:
        run = await run_of(context)
        asking = self._asking(context, run, params)
        spec = asking.spec(params.name)
        if spec is not None and part_of(spec) is not McpPart.TOOL:
            return refusal(f"{params.name!r} is no tool that an agent calls.", "denied")
        if spec is not None and context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            _check_headers(context, spec, params)
        try:
            return await called(asking, params.name, exact_object(params.arguments or {}))
        except LeverframeError as err:
            return problem(err)
        except Unanswerable as err:
            return refusal(str(err), "denied")

    def _lists(self, listing: Listing) -> PlainJson:
        async def handler(context: Context, params: types.PaginatedRequestParams | None) -> PlainJson:
            del params
            run = await run_of(context)
            found = await catalog(self._upstreams, run.ctx.contract, listing, run.ctx.run.tenant)
            entries = [plain(one) for one in found.entries]
            return {**COMPLETE, listing.value: entries, **beside(found.missing)}

        return handler

    async def _read_resource(self, context: Context, params: types.ReadResourceRequestParams) -> PlainJson:
        run = await run_of(context)
        uri = str(params.uri)
        code, (server, own) = not_found_code(context), await resource_of(context, self._upstreams, run, uri)
        try:
            return await self._fetched(context, run, f"{server}.resource", {"uri": own}, params, code=code)
        except MCPError as err:
            # Whatever its server calls it, it is this that was asked for.
            raise MCPError(err.code, err.message, err.data or {"uri": uri}) from err

    async def _get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> PlainJson:
        run = await run_of(context)
        found = await catalog(self._upstreams, run.ctx.contract, Listing.PROMPTS, run.ctx.run.tenant)
        server, own = owner_of(found, run.ctx.contract, McpPart.PROMPT, params.name)
        if not server:
            raise MCPError(types.INVALID_PARAMS, f"Prompt {params.name!r} is not found")
        arguments: JsonObject = {"name": own, "arguments": exact_object(params.arguments or {})}
        return await self._fetched(context, run, f"{server}.prompt", arguments, params, code=types.INVALID_PARAMS)

    async def _complete(self, context: Context, params: types.CompleteRequestParams) -> PlainJson:
        run = await run_of(context)
        sent = exact_object(params.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"}))
        ref = exact_object(sent.get("ref"))
        is_prompt = "name" in ref
        listing, part = (Listing.PROMPTS, McpPart.PROMPT) if is_prompt else (Listing.TEMPLATES, McpPart.RESOURCE)
        key = "name" if is_prompt else "uri"
        found = await catalog(self._upstreams, run.ctx.contract, listing, run.ctx.run.tenant)
        server, own = owner_of(found, run.ctx.contract, part, str(ref.get(key)))
        if not server:
            raise MCPError(types.INVALID_PARAMS, f"{ref.get(key)!r} is not found")
        arguments = {**sent, "ref": {**ref, key: own}}
        return await self._fetched(context, run, f"{server}.completion", arguments, params, code=types.INVALID_PARAMS)

    async def _set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        if len(self._levels) >= _MAX_LEVELS:
            self._levels.clear()
        self._levels[session_of(context)] = params.level
        return types.EmptyResult()

    async def _fetched(
        self, context: Context, run: OutsideRun, tool: str, arguments: JsonObject, params: PlainJson, *, code: int
    ) -> PlainJson:
        try:
            outcome, needed = await done(self._asking(context, run, params), tool, arguments)
        except (LeverframeError, Unanswerable) as err:
            raise MCPError(types.INVALID_REQUEST, str(err)) from err
        if needed is not None:
            return required(needed, sealed(run, tool, arguments, needed))
        if isinstance(outcome, Answered) and run.ctx.contract.context.untrusted is Untrusted.HIDE:
            if not isinstance(params, types.ReadResourceRequestParams):
                raise MCPError(code, "It is others' text, which this contract hides, and no handle fits in its form")
            block = {"uri": str(params.uri), "mimeType": "application/json", "text": encode(outcome.shown).decode()}
            return {**COMPLETE, "contents": [block]}
        if isinstance(outcome, Answered) and isinstance(outcome.shown, dict):
            return {**COMPLETE, **plain(outcome.shown)}
        message = "its answer is none" if isinstance(outcome, Answered) else outcome.message
        raise MCPError(code, message)

    def _asking(self, context: Context, run: OutsideRun, params: PlainJson) -> Asking:
        answers = getattr(params, "input_responses", None) or {}
        raw = (context.params or {}).get("inputResponses") if answers else None
        step = (context.meta or {}).get(f"{META}step")
        return Asking(
            context=context,
            run=run,
            talk=Talk(context, run, self._levels.get(session_of(context), "")),
            answers=exact_object(raw or {}),
            state=getattr(params, "request_state", None) or "",
            step=step if isinstance(step, str) else "",
            approval_url=self._approval_url,
        )


def _no_schema(_: str) -> None:
    return None


def _check_headers(context: Context, spec: ToolSpec, params: types.CallToolRequestParams) -> None:
    """Refuse a call whose headers say other than its arguments: a proxy on the way decided by them."""
    headers = context.request.headers if context.request is not None else {}
    fault = validate_mcp_param_headers(spec.input_schema, params.arguments or {}, headers)
    if fault is not None:
        raise MCPError(fault.code, fault.message, fault.data)
