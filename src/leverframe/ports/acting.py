"""The ports that act: a tool's receiver and a model's vendor.  Only the door holds them."""

from typing import Protocol

from leverframe.domain.calls import ModelAnswer, ModelBound, ModelRequest, ToolAnswer, ToolRequest
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
