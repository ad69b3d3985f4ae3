"""Tools that are Python functions of the project: trusted as its own code, and run beside the event loop.

Knows: how one call becomes keyword arguments, and what an exception says about the effect.
Never: retries, and never stops a thread, which Python cannot; a timeout therefore says that the call has left.
"""

import asyncio
import contextvars
import copy
import inspect
import threading
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.errors import JsonInvalid, LeverframeError, ToolUnavailable
from leverframe.domain.pins import QUARANTINED, Closed
from leverframe.domain.tools import PythonOrigin, ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.ports.secrets import Secrets
from leverframe.sdk.tool import ToolRefused
from leverframe.tools.functions import Caught, PythonFunctions, place, sentence
from leverframe.tools.results import plain

CREDENTIAL_ARGUMENT = "credential"


@dataclass(frozen=True, slots=True)
class _Returned:
    """How a function ended: with a value or an exception."""

    value: object = None
    error: BaseException | None = None


class PythonTools(ToolExecutor):
    """Runs each call in a thread of its own, or awaits it where the function is `async`.

    A thread of its own, and a daemon: a function that never returns holds up neither other calls nor our exit.
    """

    def __init__(self, functions: PythonFunctions, secrets: Secrets) -> None:
        self._functions = functions
        self._secrets = secrets

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        origin = _origin(request.spec)
        try:
            function = self._functions.find(origin)
            arguments = await self._arguments(request, function)
        except LeverframeError as err:
            return ToolLost(message=str(err), kind="connect", has_left=False)
        try:
            call = _bound(function, arguments)
        except (TypeError, msgspec.ValidationError) as err:
            # Nothing ran yet, so this is a refusal and not a crash.
            return ToolFailed(message=f"{place(origin)} cannot take these arguments: {err}")
        ended = await _ended(call, request.deadline_s)
        if ended is None:
            seconds = f"{request.deadline_s:g} s"
            return ToolLost(message=f"{place(origin)} did not return in {seconds}", kind="timeout", has_left=True)
        return _answer(ended, request.spec, origin)

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; empty when it can."""
        try:
            function = self._functions.find(_origin(spec))
            if spec.credential and "{tenant}" not in spec.credential:
                await self._secrets.resolved(spec.credential)
        except LeverframeError as err:
            return str(err)
        properties = spec.input_schema.get("properties", {})
        names = set(properties) if isinstance(properties, Mapping) else set()
        return _signature_gap(function, spec, names)

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Never for a function of the project, which is reviewed with the project."""
        if isinstance(spec.origin, PythonOrigin):
            return None
        return Closed(slug=QUARANTINED, message=f"Tool {spec.name!r} is no function of the project.")

    def pin(self, spec: ToolSpec) -> str:
        """Nothing: it is of this very process."""
        del spec
        return ""

    async def close(self) -> None:
        """Nothing to stop: threads are daemons."""

    async def _arguments(self, request: ToolRequest, function: Callable[..., object]) -> dict[str, object]:
        spec = request.spec
        arguments: dict[str, object] = copy.deepcopy(dict(request.args))
        if spec.idempotency_argument:
            arguments[spec.idempotency_argument] = request.idempotency_key
        if spec.credential and _takes(function, CREDENTIAL_ARGUMENT):
            arguments[CREDENTIAL_ARGUMENT] = await self._secrets.resolved(spec.credential, tenant=request.tenant)
        return arguments


def _origin(spec: ToolSpec) -> PythonOrigin:
    if not isinstance(spec.origin, PythonOrigin):
        raise ToolUnavailable(f"Tool {spec.name!r} is not a Python function.", next_move="Mend its `from`.")
    return spec.origin


def _answer(ended: _Returned, spec: ToolSpec, origin: PythonOrigin) -> ToolAnswer:
    error = ended.error
    if isinstance(error, ToolRefused):
        return ToolFailed(message=str(error) or f"{place(origin)} refused")
    if error is not None:
        message = f"{place(origin, error)} raised {sentence(error)}"
        if spec.effect.is_write:
            return ToolLost(message=message, kind="crash", has_left=True)
        return ToolFailed(message=message)
    try:
        return ToolOk(value=plain(ended.value))
    except JsonInvalid as err:
        return ToolLost(message=f"{place(origin)}: {err.message}", kind="garbage", has_left=True)


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _signature_gap(function: Callable[..., object], spec: ToolSpec, names: set[str]) -> str:
    """What the function asks for that no call will give it, and what a call gives that it does not take."""
    given = names | ({spec.idempotency_argument} - {""}) | ({CREDENTIAL_ARGUMENT} if spec.credential else set())
    parameters = inspect.signature(function).parameters.values()
    missing = [
        one.name
        for one in parameters
        if one.default is one.empty
        and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        and one.name not in given
    ]
    surplus = sorted(name for name in names if not _takes(function, name))
    if missing:
        return f"{place(_origin(spec))} needs {missing[0]!r}, which the input schema of {spec.name!r} does not have."
    if surplus:
        return f"{place(_origin(spec))} takes no {surplus[0]!r}, which the input schema of {spec.name!r} has."
    return ""


def _bound(function: Callable[..., object], arguments: Mapping[str, object]) -> Callable[[], object]:
    """The call, ready to run, with each argument in the type that the function declares.

    Raises:
        TypeError: the signature does not take these arguments.
        msgspec.ValidationError: an argument does not fit its annotation.
    """
    inspect.signature(function).bind(**arguments)
    hints = _hints(function)
    typed = {name: _converted(value, hints.get(name, object), name) for name, value in arguments.items()}
    return lambda: function(**typed)


def _hints(function: Callable[..., object]) -> Mapping[str, object]:
    # An annotation that names what is not there is the author's affair; the values then go as JSON has them.
    with suppress(NameError, TypeError, AttributeError):
        return typing.get_type_hints(function)
    return {}


def _converted(value: object, wanted: object, name: str) -> object:
    try:
        # A whole number of JSON is an int here and Decimal to a function that says so; also dates and dataclasses.
        return msgspec.convert(value, typing.cast("type[object]", wanted))
    except msgspec.ValidationError as err:
        raise msgspec.ValidationError(f"{name!r}: {err}") from err
    except TypeError:
        return value


async def _ended(call: Callable[[], object], deadline_s: float) -> _Returned | None:
    """Run the call; None where it did not end in time."""
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[_Returned] = loop.create_future()

    def settle(returned: _Returned) -> None:
        if not settled.done():
            settled.set_result(returned)

    def run() -> None:
        value: object = None
        with Caught() as caught:
            value = call()
        # The loop is gone where the process ends while a late function still runs.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, _Returned(value, caught.error))

    started = loop.time()
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="leverframe-tool", daemon=True).start()
    await asyncio.wait({settled}, timeout=deadline_s)
    if not settled.done():
        settled.cancel()
        return None
    returned = settled.result()
    if not inspect.isawaitable(returned.value):
        return returned
    return await _awaited(returned.value, deadline_s - (loop.time() - started))


async def _awaited(awaitable: typing.Awaitable[object], deadline_s: float) -> _Returned | None:
    task = asyncio.ensure_future(awaitable)
    # What a cancelled function raises late is looked at here, so that the loop does not report it as lost.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    done, _ = await asyncio.wait({task}, timeout=deadline_s)
    if not done:
        task.cancel()
        # One turn, so that the function can clean up; what it then raises is nobody's answer.
        await asyncio.wait({task}, timeout=0.1)
        return None
    if task.cancelled():
        return _Returned(error=asyncio.CancelledError("the function cancelled itself"))
    error = task.exception()
    return _Returned(error=error) if error is not None else _Returned(task.result())
