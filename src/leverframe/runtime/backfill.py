"""One run for each line of a file: begun once, taken up again after a crash, never done twice.

Knows: that an item is named by its file, its line number and a keyed hash of the line, and that the name is in the row
of its run from the first commit on.  So a line that was edited is a new item, and an equal line elsewhere another one.
Never: starts two runs at once; a broken line stops nothing but itself.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from leverframe.core.canonical import decode
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import Contended, JsonInvalid, LeverframeError, UnavailableError
from leverframe.domain.ids import RunId
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import Run, RunState
from leverframe.ports.store import RunFilter
from leverframe.runtime.advance import Runner
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import Opening, find_run

MAX_LINE_BYTES = 8 * 1024 * 1024
_KEY_BYTES = 8
_ALL = 2**31
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line.  `key` names it in its run; `problem` says why it cannot be one, and `input` is None then."""

    place: str  # "tickets.jsonl:3"
    key: str
    input: JsonObject | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone:
    """What became of a line.  `run` None: no run was opened for it.  `is_earlier`: its run had ended before."""

    item: Item
    run: Run | None
    problem: str = ""
    is_earlier: bool = False


def read_items(lines: Iterable[bytes], name: str, hash_of: Callable[[bytes], bytes]) -> Iterator[Item]:
    """Lines as items, in order; blank ones are left out.

    Args:
        lines: the file's bytes, line by line, each with or without its line end.
        name: the file's name without its folder.
        hash_of: a keyed hash, since a line is personal and its name stands in clear.
    """
    for number, raw in enumerate(lines, start=1):
        line = raw.removeprefix(_BOM).strip() if number == 1 else raw.strip()
        if line:
            key = f"{name}:{number}:{hash_of(line)[:_KEY_BYTES].hex()}"
            given, problem = _object(line)
            yield Item(place=f"{name}:{number}", key=key, input=given, problem=problem)


async def backfill(
    runner: Runner, contract: Contract, template: Opening, items: Iterable[Item]
) -> AsyncIterator[ItemDone]:
    """Work through the items, one at a time, and tell of each as it ends or must wait.

    An item whose run has ended is skipped, one whose run is open or parked is taken up, a new one begins.

    Args:
        runner: of the project.
        contract: of the workflow, in the environment of the template.
        template: who opens the runs, and for whom; the input and the item are filled in.
        items: from `read_items`.

    Raises:
        Contended: another process works through items of this workflow.
        UnavailableError: nothing can be recorded, so nothing is done; the same command goes on later.
    """
    services = runner.services
    # A claim is on a name; this one no run has.
    with services.claims.claim(RunId(f"items/{template.tenant}/{contract.workflow}")) as is_ours:
        if not is_ours:
            raise Contended(
                f"Another process works through a file for {contract.workflow!r} just now.",
                next_move="Wait for it, or run the same command again later: what it did is skipped.",
            )
        earlier = await _earlier_runs(services, contract, template)
        for item in items:
            yield await _one(runner, contract, replace(template, item=item.key), item, earlier.get(item.key))


async def _one(runner: Runner, contract: Contract, opening: Opening, item: Item, earlier: Run | None) -> ItemDone:
    if item.input is None:
        return ItemDone(item=item, run=None, problem=item.problem)
    if earlier is not None and earlier.state is RunState.ENDED:
        return ItemDone(item=item, run=earlier, is_earlier=True)
    try:
        if earlier is not None:
            advanced = await runner.resume(earlier.run_id)
        else:
            advanced = await runner.start(contract, replace(opening, input=item.input))
    except Contended as err:
        return ItemDone(item=item, run=earlier, problem=err.message)
    except UnavailableError:
        # Nothing can be recorded: the next item would fare no better.
        raise
    except LeverframeError as err:
        return ItemDone(item=item, run=earlier, problem=err.message)
    return ItemDone(item=item, run=await find_run(runner.services, advanced.run.run_id))


async def _earlier_runs(services: Services, contract: Contract, template: Opening) -> dict[str, Run]:
    """The runs of items of this workflow, by the item's name; the newest where there are several."""
    wanted = RunFilter(workflow=contract.workflow, limit=_ALL)
    found: dict[str, Run] = {}
    for run in await services.journal.runs(wanted):
        if run.item and run.tenant == template.tenant and run.environment == template.environment:
            found.setdefault(run.item, run)
    return found


def _object(line: bytes) -> tuple[JsonObject | None, str]:
    """The line as an object, or why it is none."""
    if len(line) > MAX_LINE_BYTES:
        return None, f"the line has {len(line):,} bytes, at most {MAX_LINE_BYTES:,}"
    try:
        value = decode(line)
    except JsonInvalid as err:
        return None, err.message
    if not isinstance(value, dict):
        return None, 'the line is no JSON object, such as {"message": "Hello"}'
    return value, ""
