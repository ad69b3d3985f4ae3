"""The agent's side of one call: progress and log lines to its client, a server's questions through the door first."""

import asyncio
from decimal import Decimal
from typing import Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError

from leverframe.domain.json import JsonObject
from leverframe.mcp.values import PlainJson, exact_object, plain
from leverframe.ports.conversation import Conversation, Exchange, Unanswerable, exchange
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun

Context = ServerRequestContext[PlainJson, PlainJson]

_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
_ANSWER_S: Final = 600.0
_TOOLS: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}


class Talk(Conversation):
    """One call of one client.  `level` is the lowest level of log lines that it asked for."""

    def __init__(self, context: Context, run: OutsideRun, level: str) -> None:
        self._context = context
        self._run = run
        self._level = level

    @property
    def log_level(self) -> str:
        """The log lines that a client of the 2026-07-28 protocol asks for with each request; empty for none."""
        asked = (self._context.meta or {}).get(_LOG_LEVEL)
        return asked if isinstance(asked, str) else ""

    async def tell(self, method: str, params: JsonObject) -> None:
        """Pass on progress under the client's own token, and log lines of the level that it asked for."""
        session = self._context.session
        if method == "notifications/progress":
            progress, total, message = params.get("progress"), params.get("total"), params.get("message")
            if isinstance(progress, int | Decimal):
                await session.report_progress(
                    float(progress),
                    float(total) if isinstance(total, int | Decimal) else None,
                    message if isinstance(message, str) else None,
                )
        elif self._is_wanted(str(params.get("level"))):
            try:
                note = types.LoggingMessageNotification.model_validate({"method": method, "params": plain(params)})
            except ValidationError:
                return
            await session.send_notification(note, related_request_id=self._context.request_id)

    @property
    def has_way_back(self) -> bool:
        """Whether the client can be asked while its call is under way: in the older protocols alone."""
        return bool(self._context.session.can_send_request)

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """A server's question is a call of the run: the contract must allow it, and it is recorded with its answer."""
        return await self._decided(server, method, params, self)

    async def pass_on(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """The same for a question that came with a result: without a way back it goes out with ours, to be answered."""
        return await self._decided(server, method, params, self if self.has_way_back else _Later(self))

    async def answered(self, server: str, method: str, params: JsonObject, answer: JsonObject) -> JsonObject:
        """A question that went out with a result and came back with its answer: decided anew, recorded with it."""
        return await self._decided(server, method, params, _Later(self, answer))

    async def _decided(self, server: str, method: str, params: JsonObject, conversation: Conversation) -> JsonObject:
        inner = exchange.set(Exchange(conversation=conversation))
        try:
            outcome = await self._run.call_tool(f"{server}.{_TOOLS[method]}", params)
        finally:
            exchange.reset(inner)
        if isinstance(outcome, Answered) and isinstance(outcome.value, dict):
            return outcome.value
        message = "the answer is none" if isinstance(outcome, Answered) else outcome.message
        raise Unanswerable(message, code=types.INVALID_REQUEST)

    async def let_go(self) -> None:
        """Let the client's stream go as well, where it can come back for what follows."""
        close = self._context.close_sse_stream
        if close is not None:
            await close()

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """Put the question to the client, which may show it to a person.  Its answer is data, never an approval."""
        if not self.has_way_back:
            # A server of the older protocols waits in mid-call, and nobody may answer in the client's place.
            raise Unanswerable(
                "the client speaks 2026-07-28, in which nobody is asked in mid-call; ask it with an older protocol",
                code=types.INVALID_REQUEST,
            )
        request, answer = _REQUESTS[method]
        try:
            async with asyncio.timeout(_ANSWER_S):
                found = await self._context.session.send_request(
                    request.model_validate({"method": method, "params": plain(params)}),
                    answer,
                    metadata=ServerMessageMetadata(related_request_id=self._context.request_id),
                )
        except TimeoutError as err:
            raise Unanswerable(f"nobody answered in {_ANSWER_S:g} s") from err
        except MCPError as err:
            raise Unanswerable(err.message, code=err.code) from err
        except ValidationError as err:
            raise Unanswerable(f"{method} is asked or answered in a wrong form", code=types.INVALID_PARAMS) from err
        return exact_object(found.model_dump(mode="json", by_alias=True, exclude_none=True))

    def _is_wanted(self, level: str) -> bool:
        if level not in _LEVELS:
            return False
        lowest = self._level
        if self._context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if not self.log_level:
                return False
            lowest = self.log_level
        return lowest not in _LEVELS or _LEVELS.index(level) >= _LEVELS.index(lowest)


class _Later(Conversation):
    """A conversation whose questions go out with the result: recorded as passed on, then with what came back."""

    def __init__(self, talk: Talk, answer: JsonObject | None = None) -> None:
        self._talk = talk
        self._answer: JsonObject = {"action": "passed-on"} if answer is None else answer

    async def tell(self, method: str, params: JsonObject) -> None:
        """Pass on a notification."""
        await self._talk.tell(method, params)

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """Have a question decided."""
        return await self._talk.ask(server, method, params)

    async def let_go(self) -> None:
        """The client's stream goes too."""
        await self._talk.let_go()

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """It is put with the result, by whoever asked for this."""
        del method, params
        return self._answer


_REQUESTS: Final[dict[str, tuple[PlainJson, type[BaseModel]]]] = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}
