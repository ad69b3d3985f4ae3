"""The whole transcript, part after part, on one project with one state folder.

Knows: the order of the parts and what stands at the end.  Never: decides whether something held; each part says so.
"""

import shlex
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from examples.returns_desk.bench import BenchError
from examples.returns_desk.cases import first_of_each_customer, load
from examples.returns_desk.desk import contract, start_shop
from examples.returns_desk.hostile_agent import show_hostile_agent
from examples.returns_desk.promises import NotShown, Promises
from examples.returns_desk.proof import keep_trust, show_evidence
from examples.returns_desk.readiness import show_readiness
from examples.returns_desk.real_work import show_real_work
from examples.returns_desk.screen import Screen
from examples.returns_desk.stage import Stage
from examples.returns_desk.weak_model import show_weak_model
from leverframe.domain.errors import LeverframeError
from leverframe.domain.ids import RunId
from leverframe.wiring.assembly import open_assembly

# Twelve answers of the model take about as many seconds.
_CUSTOMERS: Final = 12
OUT: Final = Path("out")


async def play(screen: Screen, state: Path) -> int:
    """Play everything; returns the exit code."""
    promises = Promises()
    try:
        with closing(Stage.fresh(state)) as stage:
            run_id = await _parts(stage, screen, promises)
    except (LeverframeError, NotShown, BenchError, OSError) as err:
        promises.broken.append(f"the demo to its end: {err}")
    else:
        _say_what_next(screen, state, run_id)
    for broken in promises.broken:
        print(f"Did not hold: {broken}", file=sys.stderr)
    return 1 if promises.broken else 0


def _say_what_next(screen: Screen, state: Path, run_id: RunId) -> None:
    leverframe = command_name()
    here = f"{leverframe} -C {shlex.quote(str(state))}"
    screen.line()
    screen.command("Ask it:", f"{here} why {run_id}")
    screen.command("Look:", f"{here} evidence show {run_id}")
    screen.command("Your own:", f"{leverframe} init my-desk")


async def _parts(stage: Stage, screen: Screen, promises: Promises) -> RunId:
    show_readiness(contract(stage.project), screen)
    async with open_assembly(stage.project, create=True) as assembly:
        await start_shop(assembly)
        await show_real_work(stage, assembly, screen, promises, load())
        auditor = await keep_trust(assembly, OUT)
        await show_weak_model(stage, assembly, screen, promises, first_of_each_customer(_CUSTOMERS))
        run_id = await show_hostile_agent(stage, assembly, screen, promises)
        await show_evidence(assembly, screen, promises, auditor, run_id)
    return run_id


def command_name() -> str:
    """How `leverframe` is called in this shell: by name where PATH finds that of this environment, else by its path."""
    program = Path(sys.executable).with_name("leverframe")
    on_path = shutil.which("leverframe")
    if on_path is not None and Path(on_path).absolute() == program.absolute():
        return "leverframe"
    here = Path.cwd()
    return shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))
