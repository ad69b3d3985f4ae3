"""Guarded, durable writes a second, beside a bare group commit of the same rows, in turns on the same disk.

Where a flush takes 4 ms or more the ratio to the floor counts; where it is quicker, the processor does.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import flush_ms, loop_ms
from bench.report import Row, at_least, at_most
from leverframe.signing.ed25519 import Ed25519FileSigner

_SLOW_FLUSH_MS = 4.0
_SLICE_S, _TURNS = 0.5, 4
_CALLERS = (1, 16, 64, 256)
_MANY = 64  # callers from which on a batch shares its costs


@dataclass(slots=True, kw_only=True)
class _Taken:
    """Figures of every turn."""

    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    worst_ms: list[float] = field(default_factory=list)
    flush_ms: list[float] = field(default_factory=list)
    loop_ms: list[float] = field(default_factory=list)


class _Group:
    """Processes that write to one database at once."""

    def __init__(self, children: Sequence["subprocess.Popen[str]"]) -> None:
        self._children = children

    def turn(self, taken: _Taken) -> None:
        """Let all of them write for one slice."""
        for line in (f"{_SLICE_S}\n", "go\n"):
            for child in self._children:
                assert child.stdin is not None  # noqa: S101 a pipe was asked for
                child.stdin.write(line)
                child.stdin.flush()
            answers = [self._answer(child) for child in self._children] if line != "go\n" else []
            if any(answer != "ready\n" for answer in answers):
                raise RuntimeError(f"A process of the measurement said {answers!r} and not that it is ready")
        found = [json.loads(self._answer(child)) for child in self._children]
        writes = sum(one["writes"] for one in found)
        taken.per_s.append(writes / max(one["wall_s"] for one in found))
        taken.cpu_us.append(sum(one["cpu_s"] for one in found) / max(writes, 1) * 1e6)
        taken.worst_ms.append(max(one["worst_ms"] for one in found))

    @staticmethod
    def _answer(child: "subprocess.Popen[str]") -> str:
        assert child.stdout is not None  # noqa: S101 a pipe was asked for
        line = child.stdout.readline()
        if not line:
            raise RuntimeError("A process of the measurement ended; what it said is above")
        return line


def measure(folder: Path) -> list[Row]:
    """Rows for each number of callers and processes."""
    rows: list[Row] = []
    for processes in (1, 3):
        for callers in _CALLERS:
            rows += _rows(folder, processes, callers)
    return rows


def _rows(folder: Path, processes: int, callers: int) -> list[Row]:
    subject, floor = _in_turns(folder, processes, callers)
    name = f"{callers} caller{'s' if callers > 1 else ''}, {processes} process{'es' if processes > 1 else ''}"
    value, bare = statistics.median(subject.per_s), statistics.median(floor.per_s)
    flush, cpu = statistics.median(subject.flush_ms), statistics.median(subject.cpu_us)
    unit = f"writes/s at a flush of {flush:.2f} ms"
    rows = [Row(name=f"guarded writes, {name}", value=value, unit=unit, floor=bare)]
    if flush >= _SLOW_FLUSH_MS:
        ratio = statistics.median([one / base for one, base in zip(subject.per_s, floor.per_s, strict=True)])
        rows.append(at_least(f"of the floor, {name}", ratio, "ratio", 0.7))
    elif callers == _MANY and processes == 1:
        rows = [at_least(f"guarded writes, {name}", value, unit, 4_000, floor=bare)]
    cpu_unit = f"us, where a fixed loop of Python takes {statistics.median(subject.loop_ms):.1f} ms"
    cpu_row = at_most if callers >= _MANY and flush < _SLOW_FLUSH_MS else _plain  # a batch of one shares nothing
    rows.append(cpu_row(f"CPU of a write, {name}", cpu, cpu_unit, 250, floor=statistics.median(floor.cpu_us)))
    if processes > 1:
        rows.append(at_most(f"worst wait, {name}", max(subject.worst_ms), "ms", 1_000, floor=max(floor.worst_ms)))
    return rows


def _plain(name: str, value: float, unit: str, _bound: float, *, floor: float) -> Row:
    return Row(name=name, value=value, unit=unit, floor=floor)


def _in_turns(folder: Path, processes: int, callers: int) -> tuple[_Taken, _Taken]:
    subject, floor = _Taken(), _Taken()
    with ExitStack() as stack:
        ours = stack.enter_context(_group(folder, "store", processes, callers))
        bare = stack.enter_context(_group(folder, "floor", processes, callers))
        for group in (ours, bare):
            group.turn(_Taken())  # the first turn warms caches and is not counted
        for _ in range(_TURNS):
            for group, taken in ((ours, subject), (bare, floor)):
                taken.flush_ms.append(flush_ms(folder))
                taken.loop_ms.append(loop_ms())
                group.turn(taken)
    return subject, floor


@contextmanager
def _group(folder: Path, mode: str, processes: int, callers: int) -> Iterator[_Group]:
    place = folder / f"{mode}-{processes}-{callers}"
    place.mkdir()
    key = place / "acme.key"
    Ed25519FileSigner.create(key, "leverframe.example/acme")
    arguments = [sys.executable, "-m", "bench.core.write_process", mode, str(place / "leverframe.db"), str(key)]
    share = max(1, callers // processes)
    children = [
        subprocess.Popen(
            [*arguments, f"p{number}", str(share)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(processes)
    ]
    try:
        yield _Group(children)
    finally:
        for child in children:
            child.communicate()
