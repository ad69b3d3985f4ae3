"""One process that writes for a while: `python -m bench.core.write_process MODE DATABASE KEY NAME CALLERS`.

It makes its writes, says `ready`, waits for a line with a number of seconds, writes, and prints what it measured as
JSON; then again, until its input ends.  MODE is `store`, or `floor` for the bare rows.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.core.write_floor import BareRows, BareWriter, rows_of
from bench.core.write_samples import TENANT, open_run, write
from leverframe.domain.proposals import Committed, Proposal
from leverframe.identity.vault import FileVault
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.store import open_sqlite

_MOST_PER_S = 9_000


@dataclass(slots=True, kw_only=True)
class _Slice:
    """What one stretch of writing came to."""

    writes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    worst_ms: float = 0.0


class _Numbers:
    """Numbers of writes, each used once."""

    def __init__(self, name: str, callers: int) -> None:
        self.name, self.callers, self.next = name, callers, 0

    def proposals(self, seconds: float) -> list[list[Proposal]]:
        """As many for each caller as it could need."""
        each = int(_MOST_PER_S * seconds / self.callers) + 2
        made = [
            [write(f"{self.name}_{caller}", self.next + row * self.callers + caller) for row in range(each)]
            for caller in range(self.callers)
        ]
        self.next += each * self.callers
        return made


async def _measure(commit: Callable[[int, int], Awaitable[None]], callers: int, each: int, seconds: float) -> _Slice:
    found = _Slice()
    end = time.perf_counter() + seconds

    async def call(caller: int) -> None:
        for row in range(each):
            begun = time.perf_counter()
            if begun >= end:
                return
            await commit(caller, row)
            found.writes += 1
            found.worst_ms = max(found.worst_ms, (time.perf_counter() - begun) * 1000)

    begun, cpu = time.perf_counter(), _cpu_s()
    await asyncio.gather(*map(call, range(callers)))
    found.wall_s, found.cpu_s = time.perf_counter() - begun, _cpu_s() - cpu
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _store(database: Path, key: Path, numbers: _Numbers) -> None:
    store = open_sqlite(
        database, create=True, vault=FileVault(database.parent / "keys"), signers={TENANT: Ed25519FileSigner.load(key)}
    )
    for caller in range(numbers.callers):
        await store.writer.commit(open_run(f"{numbers.name}_{caller}"))
    while (seconds := await _next_slice()) > 0:
        proposals = numbers.proposals(seconds)

        async def commit(caller: int, row: int, proposals: list[list[Proposal]] = proposals) -> None:
            outcome = await store.writer.commit(proposals[caller][row])
            if not isinstance(outcome, Committed):
                raise TypeError(f"A write of the measurement was refused: {outcome!r}")

        await _go(commit, numbers.callers, len(proposals[0]), seconds)
    await store.close()


async def _floor(database: Path, numbers: _Numbers) -> None:
    store = open_sqlite(database, create=True, vault=FileVault(database.parent / "keys"))
    for caller in range(numbers.callers):
        await store.writer.commit(open_run(f"{numbers.name}_{caller}"))
    await store.close()
    writer, place = BareWriter(database), 0
    while (seconds := await _next_slice()) > 0:
        rows: list[list[BareRows]] = []
        for proposals in numbers.proposals(seconds):
            rows.append([rows_of(one, place + row, numbers.name) for row, one in enumerate(proposals)])
            place += len(proposals)

        async def commit(caller: int, row: int, rows: list[list[BareRows]] = rows) -> None:
            await writer.commit(rows[caller][row])

        await _go(commit, numbers.callers, len(rows[0]), seconds)
    await writer.close()


async def _next_slice() -> float:
    """How long the next stretch is; 0 at the end of the input."""
    line = await asyncio.to_thread(sys.stdin.readline)
    return float(line or 0)


async def _go(commit: Callable[[int, int], Awaitable[None]], callers: int, each: int, seconds: float) -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    found = await _measure(commit, callers, each, seconds)
    print(
        json.dumps({"writes": found.writes, "wall_s": found.wall_s, "cpu_s": found.cpu_s, "worst_ms": found.worst_ms}),
        flush=True,
    )


def main() -> None:
    """Write until the input ends."""
    mode, database, key, name, callers = sys.argv[1:]
    numbers = _Numbers(name, int(callers))
    asyncio.run(_floor(Path(database), numbers) if mode == "floor" else _store(Path(database), Path(key), numbers))


if __name__ == "__main__":
    main()
