"""What each database must be in the end: the cases played straight on the toolkit, in a process without any door.

Knows: how to start that process, and how to read and stop it.  `python -m examples.returns_desk.expected` is that
process: it takes the ids of cases and prints one JSON object for each, `{"case": …, "hash": …, "refused": […]}`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from examples.returns_desk import cases
from examples.returns_desk.children import python
from examples.returns_desk.promises import NotShown

_MODULE = "examples.returns_desk.expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The hash that a database must have, and the ids of the calls that the shop itself refused on the way."""

    hash: str
    refused: frozenset[str]


@dataclass(frozen=True, slots=True)
class Replay:
    """The process, as its reader sees it."""

    lines: asyncio.StreamReader

    async def next(self, case: cases.Case) -> Expected:
        """What a case must come to.  Cases are asked for in the order in which they are played.

        Raises:
            NotShown: the process ended, or is at another case.
        """
        line = await self.lines.readline()
        told = json.loads(line) if line else {}
        if told.get("case") != case.case_id:
            raise NotShown(f"The direct replay says {told!r} where case {case.case_id!r} was expected")
        return Expected(hash=told["hash"], refused=frozenset(told["refused"]))


@asynccontextmanager
async def direct_replay(played: Sequence[cases.Case]) -> AsyncIterator[Replay]:
    """Play these cases in a process of their own, while the caller does something else."""
    async with python("-m", _MODULE, *(case.case_id for case in played)) as process:
        assert process.stdout is not None  # noqa: S101 it is a pipe
        yield Replay(process.stdout)


def main(case_ids: Sequence[str]) -> None:
    """Play and print."""
    known = {case.case_id: case for case in cases.load()}
    for case in (known[case_id] for case_id in case_ids):
        played = cases.play(case)
        told = {"case": case.case_id, "hash": cases.shop().hash(), "refused": sorted(played.refused)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
