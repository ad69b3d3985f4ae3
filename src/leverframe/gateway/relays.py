"""The vendors' own routes: a call's bytes in, the answer's bytes out, everything between through the door.

Knows: how a credential, the headers of a selection and a model's name become what the door is asked, and that a stream
which nobody reads any more is read to its end all the same, within a limit: what it takes is paid for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from leverframe.core.wires import error_frame, passed_headers, read_call
from leverframe.domain.contracts import Contract, Enforce, ModelRef, Project, Wire
from leverframe.domain.errors import LeverframeError, NotFound, WireRefused
from leverframe.domain.relays import Admitted, RelayBroken, RelayCall, WireFormat
from leverframe.gateway import refusing
from leverframe.gateway.asgi_types import Receive, Scope, Send
from leverframe.gateway.exchange import ClientGoneError, answer, headers_of, read_body
from leverframe.gateway.metrics import Metrics
from leverframe.runtime.door import Door
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_stream import Relayed
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.relayed_calls import RelayedCalls
from leverframe.runtime.selections import selection

_DRAIN_S: Final = 120.0
_MOST_LACKS: Final = 30
_EVENTS: Final = (b"cache-control", b"no-cache")


@dataclass(slots=True, kw_only=True)
class _Exchange:
    wire: WireFormat
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
        exchange = _Exchange(wire=wire, send=send, receive=receive, began_at=self._clock.monotonic())
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
        body = await read_body(exchange.receive, headers)
        selected = selection(headers)
        run = await self._live.run_for(caller, selected)
        call, refused_as, lacks = _read(exchange.wire, body, run)
        candidates = candidates_of(self._live.services.project, run.ctx.contract, call.model, exchange.wire)
        if candidates[0] not in self._live.services.project.tiers.get(run.ctx.contract.tier, ()):
            refused_as = refused_as or "unknown_model"
        ask = RelayAsk(
            call=call,
            key=caller.key,
            candidates=candidates,
            began_at=exchange.began_at,
            step=headers.get("leverframe-step", ""),
            refused_as=refused_as,
            lacks=lacks,
            headers=passed_headers(exchange.wire, headers, _admitted(run)),
        )
        run, outcome = await self._calls.ask(caller, selected, run, ask)
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
            # An error with the status of an answer: a client would take it for one without words.
            said = RelayBroken(f"{relayed.model} answered with an error: {relayed.error}", kind="garbage")
            await self._refuse(exchange, refusing.of_broken(exchange.wire, said))
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
        drained_at = 0.0
        try:
            while (piece := await relayed.read()) is not None:
                if not gone.done():
                    await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
                    continue
                drained_at = drained_at or self._clock.monotonic()
                if self._clock.monotonic() - drained_at > _DRAIN_S:
                    await relayed.give_up("client-gone")
                    return
        except RelayBroken as err:
            frame = error_frame(exchange.wire, status=502, slug="provider-unavailable", message=err.message)
            await exchange.send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _refuse(self, exchange: _Exchange, refusal: refusing.Refusal) -> None:
        exchange.status = refusal.status
        self._metrics.refusal(exchange.wire.value, refusal.slug)
        await answer(exchange.send, refusal.status, refusal.body, refusal.headers)


class _Anything(frozenset[str]):
    """A set that holds every name."""

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True


_EVERYTHING: Final = Admitted(fields=_Anything(), vendor_tools=_Anything(), state=_Anything(), remote_urls=True)


def _admitted(run: RelayRun) -> Admitted:
    return _EVERYTHING if run.is_observed else run.ctx.contract.admitted


def _read(wire: WireFormat, body: bytes, run: RelayRun) -> tuple[RelayCall, str, tuple[str, ...]]:
    """The call; and of an observed workflow why it would have been refused, and what it lacks.  Raises WireRefused."""
    try:
        return read_call(wire, body, run.ctx.contract.admitted), "", ()
    except WireRefused as err:
        if not run.is_observed:
            raise
        call = read_call(wire, body, _EVERYTHING)
        return call, err.code, _lacking(wire, body, run.ctx.contract.admitted)


def _lacking(wire: WireFormat, body: bytes, admitted: Admitted) -> tuple[str, ...]:
    """What the contract would have to admit for this call, one thing after the other."""
    lacks: list[str] = []
    for _ in range(_MOST_LACKS):
        try:
            read_call(wire, body, admitted)
            break
        except WireRefused as err:
            name = err.param.rpartition(".")[2].partition("[")[0][:64]
            match err.code:
                case "unknown_field":
                    admitted = replace(admitted, fields=admitted.fields | {name})
                    lacks.append(f"pass_fields={name}")
                case "vendor_state":
                    admitted = replace(admitted, state=admitted.state | {name})
                    lacks.append(f"vendor_state={name}")
                case "remote_url":
                    admitted = replace(admitted, remote_urls=True)
                    lacks.append("remote_urls=allowed")
                case _:
                    break
    return tuple(one for one in lacks if one.isprintable() and " " not in one)


def candidates_of(project: Project, contract: Contract, asked: str, wire: WireFormat) -> tuple[ModelRef, ...]:
    """Who is asked for a model: of those that the name means, those that speak the call's format.

    Raises:
        NotFound: the contract has no such model.
        WireRefused: it has, and none of them speaks the format.
    """
    named = _named(project, contract, asked)
    found = tuple(one for one in named if _speaks(project, one, wire))
    if not found:
        other = "/v1/chat/completions or /v1/responses" if wire.is_anthropic else "/v1/messages"
        raise WireRefused(
            f"The model {asked[:100]!r} is of a provider that does not speak {wire.value}, and nothing is translated.",
            code="wrong_format",
            param="model",
            next_move=f"Ask it at {other}.",
        )
    return found


def _speaks(project: Project, model: ModelRef, wire: WireFormat) -> bool:
    provider = project.providers.get(model.provider)
    return provider is not None and provider.wire is (Wire.ANTHROPIC if wire.is_anthropic else Wire.OPENAI)


def _named(project: Project, contract: Contract, asked: str) -> tuple[ModelRef, ...]:
    """The tier of the contract by its name, else those of it that the name means."""
    tier = project.tiers.get(contract.tier, ())
    if asked == contract.tier:
        return tier
    found = tuple(one for one in tier if asked in (one.model, f"{one.provider}/{one.model}"))
    if not found and tier and contract.enforce is Enforce.OBSERVE:
        found = (ModelRef(provider=tier[0].provider, model=asked),)
    if not found:
        known = ", ".join([contract.tier, *(one.model for one in tier)])
        raise NotFound(
            f"The model {asked[:100]!r} is not one of workflow {contract.workflow!r}.", next_move=f"It has: {known}."
        )
    return found


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
