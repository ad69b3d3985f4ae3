"""All figures of the core, in one run."""

from pathlib import Path

from bench.core import decisions, evidence, starts, writes
from bench.report import Row


def measure(folder: Path) -> list[Row]:
    """Measure in an empty folder."""
    return [*decisions.measure(), *writes.measure(folder), *evidence.measure(), *starts.measure(folder)]
