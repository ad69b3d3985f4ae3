"""The machine: what it is, and how long a flush and a piece of Python take on it just now."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

from bench.report import Machine

_PROBES = 40
_LOOPS = 15
_BLOCK = b"\x5a" * 4096


def machine(folder: Path) -> Machine:
    """Describe it, with the flush probe taken in `folder`, and the probe of a fixed piece of Python."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = f"{_cpu()}, {os.cpu_count()} cores, {system}"
    return Machine(
        machine=text,
        commit=done.stdout.strip(),
        flush_probe_ms=round(flush_ms(folder), 3),
        loop_probe_ms=round(loop_ms(), 1),
    )


def flush_ms(folder: Path) -> float:
    """The median of 40 appended blocks of 4 KiB, each flushed."""
    path = folder / "flush.probe"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        return statistics.median(_one_flush(file) for _ in range(_PROBES))
    finally:
        os.close(file)
        path.unlink()


def loop_ms() -> float:
    """The median of a fixed piece of Python: where it takes twice as long, so does all that is measured beside it."""
    return statistics.median(_one_loop() for _ in range(_LOOPS))


def _one_loop() -> float:
    begun = time.thread_time()
    sum(number * number for number in range(200_000))
    return (time.thread_time() - begun) * 1000


def _one_flush(file: int) -> float:
    os.write(file, _BLOCK)
    begun = time.perf_counter()
    os.fdatasync(file)
    return (time.perf_counter() - begun) * 1000


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unknown processor"
