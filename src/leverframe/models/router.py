"""Room 5 for models: the caller of each provider, behind one port.

Knows: which provider a model belongs to.  Never: lets a key out; every answer is scrubbed by value here, once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from leverframe.core.nearest import nearest
from leverframe.core.scrub import scrubbed_text
from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelOk, ModelRequest, ToolUse
from leverframe.domain.errors import ProviderUnavailable
from leverframe.ports.acting import ModelCaller
from leverframe.ports.secrets import Secrets


class ModelRouter(ModelCaller):
    """All providers of a project, by name."""

    def __init__(self, callers: Mapping[str, ModelCaller], secrets: Secrets) -> None:
        self._callers = callers
        self._secrets = secrets

    def bound(self, request: ModelRequest) -> ModelBound:
        """The most this request can take.

        Raises:
            ProviderUnavailable: no such provider, or its model has no known price.
        """
        return self._caller(request).bound(request)

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Do one attempt."""
        try:
            caller = self._caller(request)
        except ProviderUnavailable as err:
            return ModelLost(message=str(err), kind="refused", is_billed=False)
        answer = await caller.answer(request)
        known = self._secrets.known_values()
        match answer:
            case ModelOk(text=text, tool_uses=uses):
                clean = tuple(
                    ToolUse(id=use.id, name=use.name, arguments=scrubbed_text(use.arguments, known)) for use in uses
                )
                return replace(answer, text=scrubbed_text(text, known), tool_uses=clean)
            case ModelLost(message=message):
                return replace(answer, message=scrubbed_text(message, known))
            case _:
                assert_never(answer)

    async def close(self) -> None:
        """Let go of connections and models."""
        for caller in self._callers.values():
            await caller.close()

    def _caller(self, request: ModelRequest) -> ModelCaller:
        name = request.model.provider
        if name not in self._callers:
            close = nearest(name, self._callers)
            raise ProviderUnavailable(
                f"The project has no provider {name!r}, which {str(request.model)!r} needs.",
                next_move=f"Did you mean {close!r}?" if close else "Add it to `providers` of leverframe.yaml.",
            )
        return self._callers[name]
