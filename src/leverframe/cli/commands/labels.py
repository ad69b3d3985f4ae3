"""`leverframe labels`: a person's word that one value of a run is to be trusted more."""

import asyncio
from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load
from leverframe.cli.screen import Screen, Word
from leverframe.core.endorsements import HIGHEST
from leverframe.domain.contracts import Project
from leverframe.domain.errors import UsageError
from leverframe.domain.ids import RunId, StepPath
from leverframe.domain.json import Json
from leverframe.domain.labels import INTEGRITY_WORDS, Integrity
from leverframe.domain.time import rfc3339
from leverframe.runtime.endorsing import Endorsed, Place, endorse
from leverframe.runtime.resolving import PersonsWord
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, identify

_LEVELS = [one.word for one in Integrity if Integrity.THIRD_PARTY < one <= HIGHEST]


def add(parser: CommandParser) -> None:
    """Take the verb."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    one = verbs.add_parser(
        "endorse",
        help="trust one value of a run more",
        description=(
            "Endorse one value that entered a run: from the next decision on, an argument that equals it is as\n"
            "trusted as you say, in this run alone.  A held call is decided anew when it is asked for again.  An\n"
            "approver of the tenant may, never the run's initiator; it is recorded and cannot be taken back."
        ),
    )
    one.add_argument("run_id", metavar="RUN", help="its id, run_…")
    one.add_argument("step", metavar="STEP", help="the step whose answer holds it, such as 2.0; or input")
    one.add_argument("pointer", metavar="POINTER", help="where in it, a JSON pointer such as /orders/0/email")
    one.add_argument("--integrity", required=True, choices=_LEVELS, help="as trusted as what")
    one.add_argument("--because", required=True, metavar="TEXT", help="how you know, for the record")
    one.set_defaults(act=_endorse)


def run(args: Namespace) -> int:
    """Do what the verb says."""
    return asyncio.run(_opened(args, load(args)))


async def _opened(args: Namespace, project: Project) -> int:
    async with open_assembly(project, create=False) as assembly:
        code: int = await args.act(args, assembly)
        return code


async def _endorse(args: Namespace, assembly: Assembly) -> int:
    if not args.because.strip():
        raise UsageError("--because is empty; the record says why.", next_move="Say how you know.")
    screen = Screen.of(args)
    word = PersonsWord(person=identify(assembly.project), because=args.because, proof=PROOF)
    place = Place(step=StepPath(args.step), pointer=args.pointer)
    done = await endorse(assembly.runner, RunId(args.run_id), place, INTEGRITY_WORDS[args.integrity], word)
    if screen.is_json:
        screen.document(_document(done))
        return 0
    made = done.endorsement
    screen.line(
        Word("endorsed"),
        f"  step {made.step}, {done.pointer or 'all of it'}: {done.before.word} -> {made.integrity.word}, by {made.by}",
    )
    screen.line("A call that was held before is decided anew when it is asked for again.")
    screen.line(f"Next: {command(args, 'runs', 'resume', made.run_id)}")
    return 0


def _document(done: Endorsed) -> Json:
    made = done.endorsement
    return {
        "run_id": made.run_id,
        "step": made.step,
        "pointer": done.pointer,
        "before": done.before.word,
        "integrity": made.integrity.word,
        "by": made.by,
        "at": rfc3339(made.at),
    }
