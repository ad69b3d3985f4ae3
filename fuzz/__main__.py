"""`python -m fuzz [--seconds 20] [TARGET ...]`: fuzz each parser, or those named, for an equal part of the time.

An input that breaks one is written to out/fuzz, and the exit code is 1.  `--input FILE TARGET` runs one input again.
"""

import argparse
import sys
import time
from pathlib import Path

from fuzz.running import fuzz, tried
from fuzz.targets import TARGETS

OUT = Path("out") / "fuzz"


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz every parser in a time box.")
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=f"one of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=20.0, help="for all targets together (20)")
    parser.add_argument("--seed", default=str(time.time_ns()), help="the same seed gives the same inputs")
    parser.add_argument("--input", type=Path, help="one input to run again, for the one target that is named")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown or (options.input and len(options.targets) != 1):
        parser.error(f"no target {unknown[0]!r}" if unknown else "--input needs the one target that it is for")
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    if options.input:
        found = tried(chosen[0], options.input.read_bytes())
        print(found.what if found else "a value or a typed error, as it should be")
        return 1 if found else 0
    print(f"seed {options.seed}")
    is_clean = True
    for target in chosen:
        outcome = fuzz(target, options.seconds / len(chosen), options.seed)
        print(f"{outcome.runs:>8,} inputs  {target.name}{'' if outcome.finding is None else '  BROKEN'}", flush=True)
        if outcome.finding is not None:
            is_clean = False
            OUT.mkdir(parents=True, exist_ok=True)
            path = OUT / outcome.finding.name
            path.write_bytes(outcome.finding.data)
            print(f"{outcome.finding.what}\n  again: python -m fuzz --input {path} {target.name!r}")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
