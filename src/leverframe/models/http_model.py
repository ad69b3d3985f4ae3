"""Models behind an HTTP API, for calls of our own: OpenAI, Anthropic, and all that speak like one of them.

Knows: the vendor's address, which answers are billed, and what a call can cost at most.
Never: lets the key into a message, follows a redirect, or calls a model that nobody can price.
"""

from typing import Final

from leverframe.core.wires.headers import ANTHROPIC_VERSION
from leverframe.core.wires.messages import WITH_TOOLS
from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelOk, ModelRequest
from leverframe.domain.contracts import BILLED_BY_NOBODY, Provider, Wire
from leverframe.domain.errors import LeverframeError
from leverframe.domain.relays import Dialect, WireFormat
from leverframe.models import anthropic_wire, openai_wire
from leverframe.models.bounds import input_tokens_bound
from leverframe.models.openai_wire import CONTENT_FILTER, Completion, Unreadable, error_words
from leverframe.models.prices import FREE, TokenPrice, listed_price
from leverframe.models.vendors import Vendor, is_own_host, unpriced
from leverframe.net.client import HttpClient
from leverframe.net.exchange import HttpAnswer, HttpLost, HttpRequest, Limits
from leverframe.ports.acting import ModelCaller
from leverframe.ports.clock import Clock
from leverframe.ports.secrets import Secrets

_OK, _MULTIPLE, _TIMEOUT, _TOO_MANY, _SERVER = 200, 300, 408, 429, 500
_KEY_REFUSED: Final = frozenset({401, 403})
# Something between us and the vendor gave up; the vendor may have finished, and bill.
_MAY_BE_BILLED: Final = frozenset({502, 504})
_OUT_OF_MONEY: Final = "insufficient_quota"


class HttpModel(ModelCaller):
    """The models of one provider."""

    def __init__(self, provider: Provider, *, http: HttpClient, secrets: Secrets, clock: Clock) -> None:
        self._provider = provider
        self._vendor = Vendor(provider, secrets)
        self._http = http
        self._clock = clock

    def bound(self, request: ModelRequest) -> ModelBound:
        """The most this request can take.

        Raises:
            ProviderUnavailable: the provider's URL cannot be called, or the model has no known price.
        """
        input_tokens = input_tokens_bound(request)
        if self._is_anthropic and (request.tools or request.output_schema is not None):
            input_tokens += WITH_TOOLS
        price = self._price(request)
        cost = price.bound(input_tokens, request.max_output_tokens)
        return ModelBound(input_tokens=input_tokens, output_tokens=request.max_output_tokens, cost=cost)

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Do one attempt."""
        try:
            price = self._price(request)
            key = await self._vendor.headers()
            headers = {"Content-Type": "application/json", "Accept": "application/json", **key}
            if self._is_anthropic:
                headers["anthropic-version"] = ANTHROPIC_VERSION
        except LeverframeError as err:
            return ModelLost(message=str(err), kind="refused", is_billed=False)
        wire = WireFormat.MESSAGES if self._is_anthropic else WireFormat.CHAT
        asked = HttpRequest(
            method="POST",
            url=self._vendor.url_of(wire, request.model.model),
            headers=headers,
            body=self._body(request),
            is_private_allowed=self._provider.allows_private_hosts,
        )
        answer = await self._http.send(asked, Limits(total_s=request.deadline_s))
        if isinstance(answer, HttpLost):
            return ModelLost(message=f"{request.model}: {answer.message}", kind=answer.kind, is_billed=answer.has_left)
        if answer.status != _OK:
            return self._failed(request, answer)
        return self._read(request, answer, price)

    async def close(self) -> None:
        """Close idle connections.  The client is shared, and closing it twice is safe."""
        await self._http.close()

    def _read(self, request: ModelRequest, answer: HttpAnswer, price: TokenPrice) -> ModelAnswer:
        try:
            completion = self._completion(answer.body)
        except Unreadable as err:
            message = f"{request.model} gave an answer that cannot be read: {err}"
            return ModelLost(message=message, kind="garbage", is_billed=True)
        if completion.finish_reason == CONTENT_FILTER:
            message = f"{request.model} withheld its answer (content_filter)"
            return ModelLost(message=message, kind="refused", is_billed=True)
        return self._ok(request, completion, price)

    def _ok(self, request: ModelRequest, completion: Completion, price: TokenPrice) -> ModelOk:
        input_tokens, output_tokens = completion.input_tokens, completion.output_tokens
        if input_tokens is None or output_tokens is None:
            # No tokens are free: where the vendor does not count, the bound is what was used.
            bound = self.bound(request)
            input_tokens, output_tokens, cost = bound.input_tokens, bound.output_tokens, bound.cost
        else:
            cost = price.cost(
                input_tokens=input_tokens, cached_tokens=completion.cached_tokens, output_tokens=output_tokens
            )
        return ModelOk(
            text=completion.text,
            tool_uses=completion.tool_uses,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost,
            finish_reason=completion.finish_reason,
        )

    def _failed(self, request: ModelRequest, answer: HttpAnswer) -> ModelLost:
        status, name = answer.status, self._provider.name
        said = f"{request.model} answered {status}"
        if status in _KEY_REFUSED:
            # Not the vendor's words, which repeat parts of the key.
            message = f"{said}; check `key` of provider {name!r} in leverframe.yaml."
            return ModelLost(message=message, kind="refused", is_billed=False)
        words, code = error_words(answer.body)
        message = f"{said}: {words}" if words else said
        if _MULTIPLE <= status < _MULTIPLE + 100:
            message = f"{said}, a redirect, which is not followed; mend `url` of provider {name!r}."
        if status == _TOO_MANY and code != _OUT_OF_MONEY:
            return ModelLost(message=message, kind="429", is_billed=False)
        if status == _TIMEOUT:
            return ModelLost(message=message, kind="timeout", is_billed=True)
        if status >= _SERVER:
            return ModelLost(message=message, kind="5xx", is_billed=status in _MAY_BE_BILLED)
        return ModelLost(message=message, kind="refused", is_billed=False)

    @property
    def _is_anthropic(self) -> bool:
        return self._provider.wire is Wire.ANTHROPIC

    def _body(self, request: ModelRequest) -> bytes:
        if self._is_anthropic:
            return anthropic_wire.request_body(request)
        return openai_wire.request_body(request, is_vendor=self._vendor.dialect is Dialect.OPENAI)

    def _completion(self, body: bytes) -> Completion:
        return anthropic_wire.read_completion(body) if self._is_anthropic else openai_wire.read_completion(body)

    def _price(self, request: ModelRequest) -> TokenPrice:
        url, now = self._vendor.url, self._clock.now()
        model = request.model.model
        listed = self._provider.listed_as(model)
        if listed == BILLED_BY_NOBODY:
            return FREE
        price = listed_price(listed, base_url=str(url), now=now)
        if price is None and (listed != model or is_own_host(self._provider, url)):
            price = listed_price(listed, base_url=None, now=now)
        if price is None:
            raise unpriced(self._provider, model)
        return price
