"""All figures of the tool gateway, in one run: `/mcp` of a real `leverframe serve` beside its upstream and a peer.

The three are asked in turn, a slice each, so that a busy moment of the machine falls on all of them.  What is added is
the difference of the medians, and of the 99th percentiles, of all slices.  `BENCH_CALLS` sets how many calls each gets.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.gateway.served import cpu_s
from bench.report import Row, at_most
from bench.tools.load import LEGACY, MODERN
from bench.tools.orders import TOOL
from bench.tools.served import MANY, OURS, Door, asked, door, peer, upstream
from bench.tools.validation import measure as measure_validation

_CALLS: Final = int(os.environ.get("BENCH_CALLS", "1000"))
_SLICES: Final = 5
_LISTINGS: Final = 100
_ERAS: Final = {MODERN: "2026-07-28", LEGACY: "2025-11-25"}


def measure(folder: Path) -> list[Row]:
    """Measure in an empty folder."""
    with ExitStack() as stack:
        small, large = stack.enter_context(upstream(5)), stack.enter_context(upstream(MANY))
        gate = stack.enter_context(door(folder, small, large))
        other = _peer(stack, folder, small)
        rows = [row for era in _ERAS for row in _calls(era, gate, small, other)]
        return [*rows, *_cost(gate), *_listing(gate, large), *measure_validation()]


def _peer(stack: ExitStack, folder: Path, small: int) -> int:
    """The port of the other proxy; 0 where it cannot be installed or started, which is said."""
    try:
        return stack.enter_context(peer(folder, small))[1]
    except (OSError, RuntimeError, subprocess.SubprocessError) as err:
        sys.stderr.write(f"bench: the peer was not measured: {err!r}\n")
        return 0


def _calls(era: str, gate: Door, small: int, other: int) -> Iterable[Row]:
    ends = {"direct": (small, "", TOOL), "door": (gate.port, gate.key, OURS)}
    ends |= {"peer": (other, "", TOOL)} if other else {}
    times: dict[str, list[float]] = {name: [] for name in ends}
    for _ in range(_SLICES):
        for name, (port, key, tool) in ends.items():
            times[name] += asked(port, era=era, key=key, tool=tool, calls=_CALLS // _SLICES)
    for share, word, bound in ((0.5, "p50", 5), (0.99, "p99", 15)):
        yield _added(f"added to a read, {word}, {_ERAS[era]}", times, share, bound)


def _added(name: str, times: Mapping[str, list[float]], share: float, bound: float) -> Row:
    direct, through = _at(times["direct"], share), _at(times["door"], share)
    row = at_most(name, through - direct, "ms", bound, floor=direct)
    found = _at(times["peer"], share) - direct if "peer" in times else None
    return replace(row, peer=found)


def _cost(gate: Door) -> Iterable[Row]:
    """What one call costs, all of the process counted, and what the last of very many in one run cost."""
    before = cpu_s(gate.pid)
    times = asked(gate.port, era=MODERN, key=gate.key, tool=OURS, calls=_CALLS)
    cost = (cpu_s(gate.pid) - before) / (_CALLS + 10) * 1_000_000
    yield Row(name="CPU of a governed read", value=cost, unit="us")
    yield Row(name="a read late in a long run, p50", value=_at(times, 0.5), unit="ms")


def _listing(gate: Door, large: int) -> Iterable[Row]:
    for era, word in _ERAS.items():
        direct = asked(large, era=era, method="tools/list", calls=_LISTINGS)
        times = asked(gate.port, era=era, key=gate.key_of_many, method="tools/list", calls=_LISTINGS)
        yield at_most(f"a list of {MANY} tools, p50, {word}", _at(times, 0.5), "ms", 10, floor=_at(direct, 0.5))


def _at(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
