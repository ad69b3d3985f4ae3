"""Running one target for a while: whatever comes out but a value or a typed error is a finding."""

import random
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from fuzz.mutating import mutated

# A parser that takes longer over 20 kB than this eats the machine of whoever lets others send it bytes.
MAX_S = 5.0


class Target(Protocol):
    """One parser: samples of what it reads, and a call that lets its typed errors pass in silence."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def samples(self) -> Sequence[bytes]:
        """What it reads, valid for the most part."""
        ...

    def read(self, data: bytes) -> None:
        """Parse; raises what nobody declared."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that got something else out of a parser than a value or a typed error."""

    target: str
    data: bytes
    what: str

    @property
    def name(self) -> str:
        """A file name for the input."""
        return f"{self.target.replace(' ', '-')}-{sha256(self.data).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How often a target was run, and the first input that broke it."""

    target: str
    runs: int
    finding: Finding | None


def fuzz(target: Target, seconds: float, seed: str) -> Outcome:
    """Run a target until the time is over or something is found; every sample itself comes first."""
    samples, dice, runs = target.samples(), random.Random(f"{seed} {target.name}"), 0  # noqa: S311 - chosen, not secret
    until = time.monotonic() + seconds
    while runs < len(samples) or time.monotonic() < until:
        data = samples[runs] if runs < len(samples) else mutated(samples, dice)
        runs += 1
        finding = tried(target, data)
        if finding is not None:
            return Outcome(target=target.name, runs=runs, finding=finding)
    return Outcome(target=target.name, runs=runs, finding=None)


def tried(target: Target, data: bytes) -> Finding | None:
    """One input."""
    began = time.process_time()
    try:
        target.read(data)
    except Exception:  # noqa: BLE001 - what nobody declared is exactly what is looked for
        return Finding(target=target.name, data=data, what=traceback.format_exc(limit=-6))
    took_s = time.process_time() - began
    if took_s > MAX_S:
        return Finding(target=target.name, data=data, what=f"it took {took_s:.1f} s of CPU")
    return None
