"""What a measurement is, and how it is shown and kept."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_WHOLE_FROM = 100
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    `target` is a bound in words, empty where there is none; `floor` is what the bare machine gives in the same run, and
    `peer` what somebody else's program gives, both in `unit`.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    floor: float | None = None
    peer: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and on what it was measured.

    `flush_probe_ms` is the median of 4 KiB writes, each flushed; `loop_probe_ms` that of a fixed piece of Python, by
    which figures of two machines, or of two builds of one interpreter, compare.
    """

    machine: str
    commit: str
    flush_probe_ms: float
    loop_probe_ms: float


def at_most(name: str, value: float, unit: str, bound: float, *, floor: float | None = None) -> Row:
    """A figure that is good when it is small."""
    return Row(name=name, value=value, unit=unit, target=f"<= {bound:g}", met=value <= bound, floor=floor)


def at_least(name: str, value: float, unit: str, bound: float, *, floor: float | None = None) -> Row:
    """A figure that is good when it is large."""
    return Row(name=name, value=value, unit=unit, target=f">= {bound:g}", met=value >= bound, floor=floor)


def table(rows: list[Row]) -> str:
    """Rows as a person reads them."""
    shown = [("", "value", "unit", "target", "met", "floor", "peer")]
    shown += [
        (
            row.name,
            _number(row.value),
            row.unit,
            row.target,
            {True: "yes", False: "NO", None: ""}[row.met],
            _number(row.floor),
            _number(row.peer),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in shown) for column in range(len(shown[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in shown]
    return "\n".join(lines)


def keep(area: str, machine: Machine, rows: list[Row]) -> Path:
    """Write `bench/results/<area>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{area}.json"
    kept = {**asdict(machine), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    return path


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.3g}"
