"""`leverframe run --file`: the progress of many runs, and what became of them.

A terminal gets a bar; a pipe gets a line for each item; `--json` gets an object for each item and one for the whole.
"""

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leverframe.cli.accounts import run_row, word_of
from leverframe.cli.pasting import command
from leverframe.cli.screen import Part, Screen, Word, neutral
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.json import Json
from leverframe.runtime.backfill import Item, ItemDone, backfill, read_items
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import enrol_launcher

_REFUSED = "refused"  # a line of which no run was made
_BAD = ("failed", "stopped", "unknown", _REFUSED)
_WORDS = ("success", "handoff", "held", "open", *_BAD)
_MAX_LISTED = 20


async def run_lines(args: Namespace, project: Project, contract: Contract, path: Path, template: Opening) -> int:
    """Work through the file and print what became of each line.  Returns 1 where any failed or nobody can tell."""
    screen = Screen.of(args)
    done: list[ItemDone] = []
    async with open_assembly(project, create=True) as assembly:
        enrol_launcher(project)
        with path.open("rb") as file, _progress(screen, path, _count(path)) as advance:
            items = _items(assembly, file, path, template)
            async for one in backfill(assembly.runner, contract, template, items):
                done.append(one)
                _tell_item(screen, one, advance)
    return _tell_all(screen, args, done)


def _items(assembly: Assembly, lines: Iterator[bytes], path: Path, template: Opening) -> Iterator[Item]:
    def hash_of(line: bytes) -> bytes:
        return assembly.services.fingerprints.fingerprint(template.tenant, "item", line)

    return read_items(lines, path.name, hash_of)


def _count(path: Path) -> int:
    """How many lines will become items."""
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _word(one: ItemDone) -> str:
    return word_of(one.run) if one.run is not None and not one.problem else _REFUSED


def _tell_item(screen: Screen, one: ItemDone, advance: Callable[[bool, str], None]) -> None:
    word, run = _word(one), one.run
    if screen.is_json:
        document: dict[str, Json] = {"item": one.item.place, "outcome": word, "problem": one.problem}
        screen.document({**document, "is_earlier": one.is_earlier, "run": run_row(run) if run is not None else None})
        return
    why = one.problem or (run.stop_reason if run is not None and word in _BAD else "")
    earlier = "  (before)" if one.is_earlier else ""
    text = f"{one.item.place}  {word.upper()}  {run.run_id if run is not None else ''}  {why}{earlier}".rstrip()
    advance(word in {"success", "handoff"}, text)


def _tell_all(screen: Screen, args: Namespace, done: list[ItemDone]) -> int:
    counts = Counter(_word(one) for one in done)
    code = 1 if any(counts[word] for word in _BAD) else 0
    if screen.is_json:
        screen.document({"items": len(done), "outcomes": dict(counts), "earlier": sum(one.is_earlier for one in done)})
        return code
    parts: list[Part] = [f"{len(done)} items: "]
    for word in _WORDS:
        if counts[word]:
            parts += [f"{counts[word]} ", Word(word), "  "]
    earlier = sum(one.is_earlier for one in done)
    screen.line(*parts, f"({earlier} had ended before)" if earlier else "")
    if counts["unknown"]:
        screen.line("Nobody can tell whether a call of these happened; a person says it with `runs resolve`:")
        unknown = [one.run.run_id for one in done if _word(one) == "unknown" and one.run is not None]
        screen.lines(f"  {command(args, 'runs', 'show', run_id)}" for run_id in unknown[:_MAX_LISTED])
    if counts["held"]:
        screen.line(f"Next: {command(args, 'approvals', 'list')}")
    return code


@contextmanager
def _progress(screen: Screen, path: Path, total: int) -> Iterator[Callable[[bool, str], None]]:
    """Something to call for each item: with whether it went well, and its line."""
    if not screen.is_terminal:
        yield lambda _well, text: screen.line(text)
        return
    # 80 ms of libraries, for a person at a terminal alone.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False, no_color=not screen.has_color)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(neutral(path.name), total=total)

        def advance(well: bool, text: str) -> None:  # noqa: FBT001 - called in one place, above
            if not well:
                # Above the bar, which knows where the cursor is.
                bar.console.print(neutral(text), markup=False, soft_wrap=True)
            bar.advance(task)

        yield advance
