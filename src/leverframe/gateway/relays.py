"""The vendors' own routes: a call's bytes in, the answer's bytes out, everything between through the door.

Knows: how a credential, the headers of a selection and a model's name become what the door is asked, and that a stream
which nobody reads any more is read to its end all the same, within a limit: what it takes is paid for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leverframe.core.wires import error_frame
from leverframe.domain.authority import ApiKey
from leverframe.domain.errors import LeverframeError, NotFound, ProviderUnavailable, WireRefused
from leverframe.domain.relays import RelayBroken, WireFormat
from leverframe.gateway import refusing
from leverframe.gateway.asgi_types import Receive, Scope, Send
from leverframe.gateway.candidates import candidates_of
from leverframe.gateway.exchange import ClientGoneError, answer, headers_of, read_body
from leverframe.gateway.metrics import Metrics
from leverframe.gateway.readings import enforced, watched
from leverframe.runtime.door import Door
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_stream import Relayed
from leverframe.runtime.door.relay_unasked import Unasked
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.relayed_calls import RelayedCalls
from leverframe.runtime.selections import selection

_DRAIN_S: Final = 120.0
_EVENTS: Final = (b"cache-control", b"no-cache")


@dataclass(slots=True, kw_only=True)
class _Exchange:
    wire: WireFormat
    scope: Scope
    send: Send
    receive: Receive
    began_at: float
    status: int = 500


class Relays:
    """Serves every relayed format."""

    def __init__(self, door: Door, live: LiveRuns, metrics: Metrics) -> None:
        self._calls = RelayedCalls(door, live)
        self._live = live
        self._metrics = metrics
        self._clock = live.services.clock

    async def serve(self, wire: WireFormat, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        exchange = _Exchange(wire=wire, scope=scope, send=send, receive=receive, began_at=self._clock.monotonic())
        self._metrics.in_flight += 1
        try:
            await self._serve(exchange, headers_of(scope))
        except ClientGoneError:
            exchange.status = 499
        except LeverframeError as err:
            await self._live.note(err)
            await self._refuse(exchange, refusing.of_error(wire, err))
        finally:
            self._metrics.in_flight -= 1
            seconds = self._clock.monotonic() - exchange.began_at
            self._metrics.request(wire.value, exchange.status, seconds)

    async def _serve(self, exchange: _Exchange, headers: Mapping[str, str]) -> None:
        caller = await self._live.recognise(headers)
        body = await read_body(exchange.scope, exchange.receive, headers)
        selected = selection(headers)
        run = await self._live.run_for(caller, selected)
        try:
            ask = self._read(exchange, caller.key, run, body, headers)
            run, outcome = await self._calls.ask(caller, selected, run, ask)
        except (NotFound, WireRefused, ProviderUnavailable) as err:
            step = headers.get("leverframe-step", "")
            unasked = Unasked(wire=exchange.wire, body=body, key=caller.key, why=err, step=step)
            await self._calls.refused(caller, selected, run, unasked)
            raise
        if not isinstance(outcome, Relayed):
            await self._refuse(exchange, refusing.of_outcome(exchange.wire, outcome, self._live.services.mint.now()))
            return
        exchange.status = outcome.status
        try:
            await (self._stream if outcome.is_stream else self._plain)(exchange, run, outcome)
        except BaseException:
            # Whatever happened here, the vendor was asked, and may bill.
            await asyncio.shield(outcome.give_up("cancelled"))
            raise
        if outcome.first_byte_s is not None:
            self._metrics.first_byte(exchange.wire.value, outcome.first_byte_s)
        await self._calls.settled(run)
        if outcome.usage is not None:
            self._metrics.used(
                outcome.model,
                input_tokens=outcome.usage.input_tokens,
                output_tokens=outcome.usage.output_tokens,
                cost_microusd=outcome.cost_microusd,
            )

    def _read(
        self, exchange: _Exchange, key: ApiKey, run: RelayRun, body: bytes, headers: Mapping[str, str]
    ) -> RelayAsk:
        """What the door is asked.

        Raises:
            NotFound: the contract has no such model.
            WireRefused: the body may not be passed on.
        """
        read = (watched if run.is_observed else enforced)(exchange.wire, body, headers, run.ctx.contract)
        candidates = candidates_of(self._live.services.project, run.ctx.contract, read.call.model, exchange.wire)
        refused_as = read.refused_as
        if candidates[0] not in self._live.services.project.tiers.get(run.ctx.contract.tier, ()):
            refused_as = refused_as or "unknown_model"
        return RelayAsk(
            call=read.call,
            key=key,
            candidates=candidates,
            began_at=exchange.began_at,
            step=headers.get("leverframe-step", ""),
            refused_as=refused_as,
            lacks=read.lacks,
            headers=read.headers,
        )

    async def _plain(self, exchange: _Exchange, run: RelayRun, relayed: Relayed) -> None:
        """The whole answer, once it is settled."""
        pieces: list[bytes] = []
        try:
            while (piece := await relayed.read()) is not None:
                pieces.append(piece)
        except RelayBroken as err:
            await self._refuse(exchange, refusing.of_broken(exchange.wire, err))
            return
        if relayed.error and not run.is_observed:
            # What is none and has the status of an answer: a client would take it for one without words.
            await self._refuse(exchange, refusing.of_failed(exchange.wire, relayed.error))
            return
        if relayed.is_unstreamed:
            await self._refuse(exchange, refusing.unstreamed(exchange.wire, relayed.model))
            return
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        await answer(exchange.send, relayed.status, body, _headers(run, relayed))

    async def _stream(self, exchange: _Exchange, run: RelayRun, relayed: Relayed) -> None:
        """Frames as they come.  The response ends after the settlement."""
        self._metrics.streams += 1
        gone = asyncio.ensure_future(_gone(exchange.receive))
        try:
            start = {"type": "http.response.start", "status": relayed.status, "headers": _headers(run, relayed)}
            await exchange.send(start)
            await self._frames(exchange, relayed, gone)
            await exchange.send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            self._metrics.streams -= 1

    async def _frames(self, exchange: _Exchange, relayed: Relayed, gone: "asyncio.Future[None]") -> None:
        drained_at, last = 0.0, b""
        try:
            while (piece := await relayed.read()) is not None:
                if not gone.done():
                    await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
                    last = piece
                    continue
                drained_at = drained_at or self._clock.monotonic()
                if self._clock.monotonic() - drained_at > _DRAIN_S:
                    await relayed.give_up("client-gone")
                    return
        except RelayBroken as err:
            frame = error_frame(exchange.wire, status=502, slug="provider-unavailable", message=err.message, after=last)
            await exchange.send({"type": "http.response.body", "body": frame, "more_body": True})
        except LeverframeError as err:
            # Its end could not be written: whatever was read before, it is no answer that anyone could prove.
            frame = error_frame(exchange.wire, status=err.status, slug=err.slug, message=err.message, after=last)
            await exchange.send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _refuse(self, exchange: _Exchange, refusal: refusing.Refusal) -> None:
        exchange.status = refusal.status
        self._metrics.refusal(exchange.wire.value, refusal.slug)
        await answer(exchange.send, refusal.status, refusal.body, refusal.headers)


def _headers(run: RelayRun, relayed: Relayed) -> list[tuple[bytes, bytes]]:
    passed = relayed.headers
    passed.append((b"leverframe-run", run.ctx.run.run_id.encode()))
    if relayed.is_stream:
        passed.append(_EVENTS)
    return passed


async def _gone(receive: Receive) -> None:
    """Ends when the client has gone away, or the response has ended."""
    while (await receive())["type"] != "http.disconnect":
        pass
