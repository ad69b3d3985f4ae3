"""Room 5 for calls that come in a vendor's own format: bytes out, bytes back.

Knows: which endings are billed, and which answers of a vendor may be shown to a client.  Never: sends twice, follows a
redirect, passes on a page of somebody between us and the vendor, or lets a key out: an error's words are scrubbed.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from leverframe.core.nearest import nearest
from leverframe.core.scrub import scrubbed_text
from leverframe.core.wires import error_body, returned_headers, upstream_body
from leverframe.core.wires.halves import read_halves
from leverframe.domain.calls import ModelBound, ModelLost
from leverframe.domain.contracts import ModelRef
from leverframe.domain.errors import LeverframeError, ProviderUnavailable
from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import RelayBroken, RelayCall, RelayRefusal, Usage
from leverframe.models.call_bounds import bound_of
from leverframe.models.call_prices import load_price_list
from leverframe.models.vendors import Vendor
from leverframe.net.exchange import HttpLost, HttpRequest, Limits, StreamBroken
from leverframe.net.pool import HttpStream, StreamClient
from leverframe.ports.acting import ModelRelay, RelayStream
from leverframe.ports.clock import Clock
from leverframe.ports.secrets import Secrets

MAX_ANSWER_BYTES: Final = 64 << 20
_MAX_ERROR_BYTES: Final = 64 << 10
_IDLE_S: Final = 120.0
_LONGEST: Final = timedelta(minutes=12)  # a call is on its way for no longer, and is settled by its last price
_OK, _MULTIPLE, _BAD, _TIMEOUT, _TOO_MANY, _SERVER = 200, 300, 400, 408, 429, 500
_LAST, _GATEWAY = 599, 502
_KEY_REFUSED: Final = frozenset({401, 403})
# Something between us and the vendor gave up; the vendor may have finished, and bill.  520 and 524 are Cloudflare's,
# which stands before several vendors: an answer that it could not read, and one that took too long.
_MAY_BE_BILLED: Final = frozenset({502, 504, 520, 524})
# Of an error these are written anew.
_OURS: Final = frozenset({"content-type", "retry-after"})
_LONGEST_WAIT_S: Final = 3600.0
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"  # the one form that is written today; RFC 9110, section 5.6.7
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


class _Relayed(RelayStream):
    """An answer that has begun."""

    def __init__(self, stream: HttpStream, secrets: Secrets, *, is_stream: bool) -> None:
        self.status = stream.status
        self.headers: Mapping[str, str] = returned_headers(stream.headers)
        self.is_stream = is_stream
        self._stream = stream
        self._secrets = secrets

    async def read(self) -> bytes:
        """The next piece.  Raises RelayBroken where there is no proper end."""
        try:
            return await self._stream.read()
        except StreamBroken as err:
            raise RelayBroken(err.message, kind=err.kind) from err

    def shown(self, words: str) -> str:
        """Without a key that the vendor repeats."""
        return scrubbed_text(words, self._secrets.known_values())

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()


class VendorRelay(ModelRelay):
    """All providers of a project that are asked over HTTP, by name."""

    def __init__(self, vendors: Mapping[str, Vendor], *, http: StreamClient, secrets: Secrets, clock: Clock) -> None:
        self._vendors = vendors
        self._http = http
        self._secrets = secrets
        self._clock = clock

    async def warm(self) -> None:
        """Read the price list, so that no call waits for it."""
        await asyncio.to_thread(load_price_list)

    def bound(self, call: RelayCall, model: ModelRef, *, max_output_tokens: int) -> ModelBound:
        """The most this call can take.

        Raises:
            ProviderUnavailable: no such provider, it does not speak the call's format, or a part has no price.
        """
        vendor = self._vendor(model)
        if not vendor.speaks(call.wire):
            raise ProviderUnavailable(
                f"The provider {model.provider!r} does not speak {call.wire.value}, and nothing is translated.",
                next_move="Name a model of a provider that does.",
            )
        now, listed = self._clock.now(), vendor.listed_as(model.model)
        price = vendor.price(model.model, now)
        bound = bound_of(call, listed, price, max_output_tokens)
        later = vendor.price(model.model, now + _LONGEST)
        if later is price or later == price:
            return bound
        # It may end at another price than it begins at, and then the dearer one is what it can cost.
        return max(bound, bound_of(call, listed, later, max_output_tokens), key=lambda one: one.cost)

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
        """Send it, and come back with the first byte of the answer."""
        try:
            vendor = self._vendor(model)
            sent = {
                **headers,
                "content-type": _JSON,
                "accept": _EVENTS if call.is_stream else _JSON,
                **(await vendor.headers()),
            }
        except LeverframeError as err:
            return ModelLost(message=str(err), kind="refused", is_billed=False)
        body = upstream_body(
            call,
            model=model.model,
            max_output_tokens=max_output_tokens,
            dialect=vendor.dialect,
            is_observed=is_observed,
        )
        request = HttpRequest(
            method="POST",
            url=vendor.url_of(call.wire, model.model),
            headers=sent,
            body=body,
            is_private_allowed=vendor.provider.allows_private_hosts,
        )
        limits = Limits(total_s=deadline_s, idle_s=_IDLE_S, max_body_bytes=MAX_ANSWER_BYTES)
        stream = await self._http.open(request, limits)
        if isinstance(stream, HttpLost):
            return ModelLost(message=f"{model}: {stream.message}", kind=stream.kind, is_billed=stream.has_left)
        if stream.status == _OK:
            return _begun(call, model, stream, self._secrets)
        return await self._refused(call, model, stream)

    def cost(self, model: ModelRef, usage: Usage) -> tuple[MicroUsd, str]:
        """What it cost, and the version of the prices that say so.

        Raises:
            ProviderUnavailable: no such provider, or the model has no known price.
        """
        price = self._vendor(model).price(model.model, self._clock.now())
        return price.cost(usage), price.version

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()

    def _vendor(self, model: ModelRef) -> Vendor:
        vendor = self._vendors.get(model.provider)
        if vendor is None:
            close = nearest(model.provider, self._vendors)
            raise ProviderUnavailable(
                f"The project has no provider {model.provider!r} that calls can be passed on to.",
                next_move=f"Did you mean {close!r}?" if close else "Add it to `providers` of leverframe.yaml.",
            )
        return vendor

    async def _refused(self, call: RelayCall, model: ModelRef, stream: HttpStream) -> RelayRefusal | ModelLost:
        """Any status but 200."""
        # What HTTP has no word for is some failure, and cannot be answered with; nobody can tell whether it is billed.
        status, name = (stream.status if stream.status <= _LAST else _GATEWAY), model.provider
        body = await _error_bytes(stream)
        said = f"{model} answered {stream.status}"
        if status < _BAD:
            what = "which is no answer of a model" if status < _MULTIPLE else "a redirect, which is not followed"
            message = f"{said}, {what}; mend `url` of provider {name!r}."
            return ModelLost(message=message, kind="refused", is_billed=status < _MULTIPLE)
        if status in _KEY_REFUSED:
            # Not the vendor's words, which repeat parts of the key.
            message = f"{said}; check `key` of provider {name!r} in leverframe.yaml."
            return ModelLost(message=message, kind="refused", is_billed=False)
        body = _error_object(body)
        if body:
            shown = scrubbed_text(body.decode("utf-8", "replace"), self._secrets.known_values()).encode()
        else:
            # The page of somebody between us and the vendor is nothing that a client can parse.
            shown = error_body(
                call.wire, status=status, slug="vendor-error", message=f"{said} and no error of its own."
            )
        kind = "429" if status == _TOO_MANY else "5xx" if status >= _SERVER or status == _TIMEOUT else "refused"
        return RelayRefusal(
            status=status,
            body=shown,
            content_type=_JSON,
            kind=kind,
            is_billed=status in _MAY_BE_BILLED or status == _TIMEOUT,
            message=said,
            retry_after_s=_seconds(stream.headers.get("retry-after", ""), self._clock.now()),
            headers={name: value for name, value in returned_headers(stream.headers).items() if name not in _OURS},
        )


def _begun(call: RelayCall, model: ModelRef, stream: HttpStream, secrets: Secrets) -> RelayStream | ModelLost:
    """An answer with status 200, where it is of a kind that the client can read."""
    kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _EVENTS and call.is_stream:
        return _Relayed(stream, secrets, is_stream=True)
    if kind == _JSON or not kind:
        return _Relayed(stream, secrets, is_stream=False)
    stream.close()
    message = f"{model} answered with {kind[:60]!r}, which is no answer of a model"
    return ModelLost(message=message, kind="garbage", is_billed=True)


async def _error_bytes(stream: HttpStream) -> bytes:
    """The body of an error, cut: what is longer is no error object."""
    body = b""
    try:
        while len(body) <= _MAX_ERROR_BYTES and (piece := await stream.read()):
            body += piece
    except StreamBroken:
        return b""
    finally:
        stream.close()
    return body if len(body) <= _MAX_ERROR_BYTES else b""


def _error_object(body: bytes) -> bytes:
    """The object in the body of an error; empty where there is none.

    Gemini, asked in the format of OpenAI, puts it into a list, which no client's library takes words from.
    """
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body if read_halves(body) is not None else b""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return msgspec.json.encode(value[0])
    return body if isinstance(value, dict) else b""


def _seconds(text: str, now: datetime) -> float | None:
    """Seconds of a Retry-After header, which tells them or a date; None where it is neither."""
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        until = datetime.strptime(text, _HTTP_DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return min(max(0.0, (until - now).total_seconds()), _LONGEST_WAIT_S)
