"""Which part of a long matrix a run of the tests takes.

`LONG=1 make test` (LEVERFRAME_LONG=1) takes all of it. Otherwise the commit id draws a sample: one commit tests the
same cases on every machine, and the next commit tests others, so that in a week the whole matrix was run many times.
"""

import os
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parent.parent
IS_LONG = os.environ.get("LEVERFRAME_LONG", "") not in {"", "0"}

T = TypeVar("T")


def _commit_id() -> str:
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False)
    except OSError:
        return "no-commit"
    return done.stdout.strip() or "no-commit"


SEED = os.environ.get("LEVERFRAME_SEED") or _commit_id()


def sample(items: Sequence[T], size: int, seed: str = SEED) -> list[T]:
    """Draw `size` of `items`, in their own order; all of them in a long run or where there are no more.

    The draw depends on `seed` and on the number of items alone, never on their values.
    """
    if IS_LONG or len(items) <= size:
        return list(items)
    drawn = sorted(range(len(items)), key=lambda index: sha256(f"{seed}:{index}".encode()).digest())[:size]
    return [items[index] for index in sorted(drawn)]
