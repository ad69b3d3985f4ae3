"""The ports that act: a tool's receiver and a model's vendor.  Only the door holds them."""

from collections.abc import Mapping
from typing import Protocol

from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelRequest, ToolAnswer, ToolRequest
from leverframe.domain.contracts import ModelRef
from leverframe.domain.money import MicroUsd
from leverframe.domain.pins import Closed
from leverframe.domain.relays import RelayCall, RelayRefusal, Usage
from leverframe.domain.tools import ToolSpec


class ToolExecutor(Protocol):
    """Room 5 for tools.

    Contract: `execute` sends at most one request to the receiver for each call of it and never retries by itself.
    It never raises for what a receiver does: an error of the receiver is `ToolFailed`, no usable answer within
    `deadline_s` is `ToolLost`, and `has_left=False` there is a promise.  Credentials are resolved inside and appear
    in no answer.
    """

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        ...

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; empty when it can.  May start its server."""
        ...

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Why a review must come first (`tools.lock`), as far as is known at once; `execute` looks again by itself."""
        ...

    def pin(self, spec: ToolSpec) -> str:
        """What a person reviewed of it, as a digest; empty where nothing of it is pinned."""
        ...

    async def close(self) -> None:
        """Stop what was started.  Safe to call twice."""
        ...


class ModelCaller(Protocol):
    """Room 5 for models.

    Contract: `bound` is a true upper bound, made without the network; `answer` sends at most one request.
    An unpriced model is refused by `bound` with `ProviderUnavailable`.
    """

    def bound(self, request: ModelRequest) -> ModelBound:
        """The most this request can take in tokens and money."""
        ...

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Do one attempt."""
        ...

    async def close(self) -> None:
        """Let go of connections and models.  Safe to call twice."""
        ...


class RelayStream(Protocol):
    """An answer that has begun, with status 200.

    `headers` are those that may go to the client.  `is_stream` says how the body is to be read: a vendor may answer
    plainly where a stream was asked for.
    """

    status: int
    headers: Mapping[str, str]
    is_stream: bool

    async def read(self) -> bytes:
        """The next piece, as it came; empty at the proper end.

        Raises:
            RelayBroken: there is no proper end.
        """
        ...

    def shown(self, words: str) -> str:
        """Words of the vendor as they may be told in words of ours: without any secret that is known."""
        ...

    def close(self) -> None:
        """Let go of the connection, in mid-answer too.  Safe to call twice."""
        ...


class ModelRelay(Protocol):
    """Room 5 for calls that come in a vendor's own format.

    Contract: `bound` and `cost` are made without the network and without waiting; `send` sends at most one request
    and never raises for what a vendor does.  The vendor's key is set inside and appears in no answer.
    """

    def bound(self, call: RelayCall, model: ModelRef, *, max_output_tokens: int) -> ModelBound:
        """The most this call can take, with as many output tokens for each choice.

        Raises:
            ProviderUnavailable: no such provider, it does not speak the call's format, or a part has no price.
        """
        ...

    async def send(
        self,
        call: RelayCall,
        model: ModelRef,
        *,
        max_output_tokens: int | None,
        deadline_s: float,
        headers: Mapping[str, str],
        is_observed: bool = False,
    ) -> RelayStream | RelayRefusal | ModelLost:
        """Send it, and come back with the first byte of the answer.

        Args:
            call: as it was read.
            model: whom to ask.
            max_output_tokens: what the budget affords for each choice; None sets no limit.
            deadline_s: for the whole exchange, the stream included.
            headers: of the client, in lower case; only those pass that `core.wires.passed_headers` admits.
            is_observed: the body goes as it came but for the model's name.
        """
        ...

    def cost(self, model: ModelRef, usage: Usage) -> tuple[MicroUsd, str]:
        """What it cost, and the version of the prices that say so.

        Raises:
            ProviderUnavailable: a part of it has no price.
        """
        ...

    async def close(self) -> None:
        """Let go of connections.  Safe to call twice."""
        ...
