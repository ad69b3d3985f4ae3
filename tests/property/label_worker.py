"""A worker in a process of its own: `python -m tests.property.label_worker FOLDER TAG` asks for calls of shared runs.

Each line of its input is {"run", "tool", "args"}; it answers with what came of the call, and the labels that it now
holds for the run: of all that was seen, and of each value that an argument may equal.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from leverframe.config.project import load_project
from leverframe.core.argument_labels import known_label
from leverframe.core.provenance import ValueIndex
from leverframe.domain.ids import RunId
from leverframe.domain.labels import Label
from leverframe.runtime.outside import OutsideRun
from leverframe.wiring.assembly import Assembly, open_assembly


def labels_of(values: ValueIndex) -> dict[str, list[str]]:
    """Every label that a decision could rest on, less its origin: of two equal values either may be named."""
    known = {f"{kind} {form}": words(known_label(values, kind, form)) for kind, form in values.known}
    return {"": words(values.union), **dict(sorted(known.items()))}


def words(label: Label) -> list[str]:
    return [label.integrity.word, label.confidentiality.word]


# Any: one line of the test's own protocol.
async def answer(assembly: Assembly, runs: dict[str, OutsideRun], tag: str, asked: Any) -> Any:
    run = runs.get(asked["run"])
    if run is None:
        run = runs[asked["run"]] = await assembly.runner.reopen_outside(RunId(asked["run"]))
        run.owner = tag
    outcome = await run.call_tool(asked["tool"], asked["args"])
    return {"outcome": type(outcome).__name__, "labels": labels_of(run.ctx.values)}


async def work(folder: Path, tag: str) -> None:
    runs: dict[str, OutsideRun] = {}
    async with open_assembly(load_project(folder), create=False) as assembly:
        while line := await asyncio.to_thread(sys.stdin.readline):
            said = json.dumps(await answer(assembly, runs, tag, json.loads(line)))
            print(said, flush=True)  # noqa: T201 the answer that the test waits for


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
