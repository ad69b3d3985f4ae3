"""Answers of reads, used again for a while where the tool's `cache_s` says so; equal reads at once share one request.

Knows: whose an answer is: the tenant's and the subject's, under one credential, for the same arguments, of the same
reviewed tool.  A write through this door to the same server drops what that tenant has read from it, so that nobody
reads what was before their own write.  Kept in this process alone, as bytes, so that nobody can change it.
Never: skips a decision: each call was decided before it comes here, and is recorded as what it was.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from leverframe.core import canonical
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import McpOrigin, PythonOrigin, ToolSpec

_MAX_BYTES: Final = 64 << 20
CACHED: Final = "cached"
SHARED: Final = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadKey:
    """Whose an answer is, and to what.  `place`: where the tool is; a write there makes it old."""

    tenant: TenantId
    place: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer, and the call that it was given to."""

    data: bytes
    call_id: CallId
    until: float

    @property
    def value(self) -> Json:
        """A copy."""
        return canonical.decode(self.data)


@dataclass(slots=True, kw_only=True)
class Turn:
    """One read: `found` is an earlier answer, else whoever has the turn asks, and keeps a good answer."""

    found: Kept | None = None
    how: str = ""
    made: Kept | None = None


def read_key(tenant: TenantId, subject: bytes, spec: ToolSpec, args: JsonObject, pin: str) -> ReadKey:
    """The key of one read.  `pin`: what a person reviewed of the tool, as the lock has it now."""
    place = place_of(spec)
    whole: list[Json] = [
        tenant,
        subject.hex(),
        spec.credential,
        spec.name,
        spec.version,
        spec.schema_sha256,
        place,
        _name(spec),
        pin,
        args,
    ]
    return ReadKey(tenant=tenant, place=place, digest=sha256(canonical.encode(whole)).digest())


def place_of(spec: ToolSpec) -> str:
    """Where a tool is: its server, or its file."""
    match spec.origin:
        case McpOrigin(server=server):
            return f"mcp:{server}"
        case PythonOrigin(file=file):
            return f"python:{file}"
        case _:
            return "built-in"


def _name(spec: ToolSpec) -> str:
    match spec.origin:
        case McpOrigin(name=name, part=part):
            return f"{part.value}:{name}"
        case PythonOrigin(function=function):
            return function
        case _:
            return ""


class ReadCache:
    """All of a process; at most 64 MiB, the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[ReadKey, Kept] = OrderedDict()
        self._asking: dict[ReadKey, asyncio.Future[Kept | None]] = {}
        self._writes: dict[tuple[TenantId, str], int] = {}
        self._bytes = 0

    @asynccontextmanager
    async def turn(self, key: ReadKey, *, now: float, within_s: float) -> AsyncIterator[Turn]:
        """An earlier answer, that of somebody who asks the same just now, or the turn to ask.

        A shared request that fails serves nobody else: the next of those who wait asks.
        """
        while True:
            kept = self._get(key, now)
            if kept is not None:
                yield Turn(found=kept, how=CACHED)
                return
            asking = self._asking.get(key)
            if asking is None:
                break
            done, _ = await asyncio.wait({asking}, timeout=within_s)
            if not done:
                break
            shared = asking.result()
            if shared is not None:
                yield Turn(found=shared, how=SHARED)
                return
        turn, writes = Turn(), self._writes.get((key.tenant, key.place), 0)
        answer: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        self._asking.setdefault(key, answer)
        try:
            yield turn
        finally:
            if self._asking.get(key) is answer:
                del self._asking[key]
            # What was read across a write may be from before it: those who asked meanwhile may have it, nobody later.
            if turn.made is not None and self._writes.get((key.tenant, key.place), 0) == writes:
                self._put(key, turn.made)
            answer.set_result(turn.made)

    def wrote(self, tenant: TenantId, spec: ToolSpec) -> None:
        """A write goes out, or has come back: what the tenant has read there is old, and so is what is on its way."""
        place = place_of(spec)
        self._writes[tenant, place] = self._writes.get((tenant, place), 0) + 1
        for key in [key for key in self._kept if (key.tenant, key.place) == (tenant, place)]:
            self._drop(key)
        for key in [key for key in self._asking if (key.tenant, key.place) == (tenant, place)]:
            del self._asking[key]

    def _get(self, key: ReadKey, now: float) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None and now >= kept.until:
            self._drop(key)
            return None
        return kept

    def _put(self, key: ReadKey, kept: Kept) -> None:
        self._drop(key)
        self._kept[key] = kept
        self._bytes += len(kept.data)
        while self._bytes > _MAX_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: ReadKey) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= 0 if kept is None else len(kept.data)
