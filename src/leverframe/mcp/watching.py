"""Subscriptions to resources, in both protocols: asked for, read once through the door, and followed.

Knows: that word of a change is word of the resource.  So whoever wants it has the resource read first, as a call of the
run that is decided and recorded like any: what may not be read is not told of.
Source: MCP specification, server/resources (2025-11-25), basic/subscriptions (2026-07-28).
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import mcp_types as types
from mcp.shared.exceptions import MCPError

from leverframe.domain.errors import LeverframeError
from leverframe.mcp.calls import Asking, done
from leverframe.mcp.changes import Changes
from leverframe.mcp.requests import not_found_code, resource_of, run_of, session_of
from leverframe.mcp.talk import Context
from leverframe.mcp.values import PlainJson
from leverframe.mcp.watches import MOST_OF_ONE, Watches
from leverframe.ports.conversation import Unanswerable
from leverframe.ports.upstreams import Upstreams
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun

_Asks = Callable[[Context, OutsideRun, PlainJson], Asking]


class Watching:
    """The handlers of a process."""

    def __init__(self, upstreams: Upstreams, changes: Changes, asking: _Asks) -> None:
        self._upstreams = upstreams
        self._changes = changes
        self._asking = asking
        self._watches = Watches(upstreams)

    def ended(self, session_id: str) -> None:
        """A session is over."""
        self._watches.ended(session_id)

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """`resources/subscribe` of a session."""
        run, uri = await run_of(context), str(params.uri)
        server, own = await self._read(context, run, uri, params)
        try:
            await self._watches.subscribe(
                session_of(context), context.session, uri, server=server, own=own, tenant=run.ctx.run.tenant
            )
        except LeverframeError as err:
            raise MCPError(types.INVALID_REQUEST, str(err), {"uri": uri}) from err
        return types.EmptyResult()

    async def unsubscribe(self, context: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        """`resources/unsubscribe` of a session."""
        await run_of(context)
        self._watches.unsubscribe(session_of(context), str(params.uri))
        return types.EmptyResult()

    async def listen(self, context: Context, params: types.SubscriptionsListenRequestParams) -> PlainJson:
        """`subscriptions/listen`: until the client has enough.  It is told which of its resources are followed."""
        run = await run_of(context)
        listener = self._changes.listener(run.ctx.contract)
        wanted = tuple(dict.fromkeys(params.notifications.resource_subscriptions or ()))
        followed, refused = [], MCPError(types.INVALID_PARAMS, f"More than {MOST_OF_ONE} resources are asked for")
        with ExitStack() as stack:
            for uri in wanted[:MOST_OF_ONE]:
                try:
                    server, own = await self._read(context, run, uri, params)
                    told = partial(listener.updated, uri)
                    stack.callback(await self._watches.follow(server, own, run.ctx.run.tenant, told))
                    followed.append(uri)
                except LeverframeError as err:
                    refused = MCPError(types.INVALID_REQUEST, str(err), {"uri": uri})
                except MCPError as err:
                    refused = err
            kinds = params.notifications.model_dump(exclude={"resource_subscriptions"}, exclude_none=True)
            if wanted and not followed and not any(kinds.values()):
                raise refused
            honoured = params.notifications.model_copy(update={"resource_subscriptions": followed or None})
            return await listener.listen(context, params.model_copy(update={"notifications": honoured}))

    async def _read(self, context: Context, run: OutsideRun, uri: str, params: PlainJson) -> tuple[str, str]:
        """Have the resource read, which says whether it may be; its server, and its name there."""
        server, own = await resource_of(context, self._upstreams, run, uri)
        try:
            outcome, _ = await done(self._asking(context, run, params), f"{server}.resource", {"uri": own})
        except (LeverframeError, Unanswerable) as err:
            raise MCPError(types.INVALID_REQUEST, str(err), {"uri": uri}) from err
        if not isinstance(outcome, Answered):
            raise MCPError(not_found_code(context), outcome.message, {"uri": uri})
        return server, own
