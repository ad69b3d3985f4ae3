"""`python -m bench [AREA]`: measure one area, or all of them; exit code 0 whether or not the targets are met."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.core.area import measure as measure_core
from bench.gateway.area import measure as measure_gateway
from bench.gateway.wires import measure as measure_wires
from bench.machine import machine
from bench.report import Row, keep, table
from bench.tools.area import measure as measure_tools

AREAS: Mapping[str, Callable[[Path], list[Row]]] = {
    "core": measure_core,
    "gateway": measure_gateway,
    "tools": measure_tools,
    "wires": measure_wires,
}


def main() -> int:
    """Measure, print, keep."""
    wanted = [area for area in sys.argv[1:] if area] or list(AREAS)
    unknown = [area for area in wanted if area not in AREAS]
    if unknown:
        sys.stderr.write(f"bench: there is no area {unknown[0]!r}; expected one of {', '.join(AREAS)}.\n")
        return 2
    for area in wanted:
        # Beside the code, so that the disk that is measured is the one the probe is taken on.
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as name:
            folder = Path(name)
            rows = AREAS[area](folder)
            found = machine(folder)
        path = keep(area, found, rows)
        probes = f"flush {found.flush_probe_ms} ms; loop of Python {found.loop_probe_ms} ms"
        print(f"{area}: {found.machine}; commit {found.commit}; {probes}")
        print(table(rows))
        print(f"kept in {path.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
