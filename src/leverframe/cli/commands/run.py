"""`leverframe run`: one run on one input, or one for each line of a file."""

import asyncio
from argparse import Namespace

from leverframe.cli.accounts import tell_run
from leverframe.cli.lines import run_lines
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import contract_of, json_object, load, named_file, tenant_of
from leverframe.cli.screen import Screen
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.ids import PrincipalId, TenantId
from leverframe.domain.json import JsonObject
from leverframe.runtime.loops.ending import Busy
from leverframe.runtime.sessions import Opening
from leverframe.runtime.standing import standing
from leverframe.wiring.assembly import open_assembly
from leverframe.wiring.people import enrol_launcher, launcher


def add(parser: CommandParser) -> None:
    """Take the workflow and what it works on."""
    parser.description = (
        "Start a run of a workflow and advance it until it ends or waits for a person.  With --file, one run for each\n"
        "line; after a crash or a kill the same command goes on where it was, and does nothing twice."
    )
    parser.add_argument("workflow", metavar="WORKFLOW", help="the name of a contract in workflows/")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--input", metavar="JSON", help="the input: a JSON file, JSON text, or - for standard input")
    given.add_argument("--file", metavar="LINES", help="a file of JSON objects, one a line; each becomes a run")
    parser.add_argument("--environment", metavar="NAME", help="where effects land (the contract's first)")
    parser.add_argument("--tenant", metavar="NAME", help="whose data and money it is (needed where there are several)")


def run(args: Namespace) -> int:
    """Do it."""
    project = load(args)
    contract = contract_of(project, args.workflow, args.environment)
    tenant = tenant_of(project, args.tenant)
    if args.file is not None:
        path = named_file(args, args.file)
        return asyncio.run(run_lines(args, project, contract, path, opening(args, contract, tenant, {})))
    given = json_object(args, args.input, "The input")
    return asyncio.run(_once(args, project, contract, opening(args, contract, tenant, given)))


def opening(args: Namespace, contract: Contract, tenant: TenantId, given: JsonObject) -> Opening:
    """The run's agent initiates it; whoever types the command launches it."""
    return Opening(
        tenant=tenant,
        environment=args.environment or contract.environments[0],
        initiator=PrincipalId(f"agent:{contract.workflow}"),
        launcher=launcher(),
        input=given,
    )


async def _once(args: Namespace, project: Project, contract: Contract, first: Opening) -> int:
    async with open_assembly(project, create=True) as assembly:
        enrol_launcher(project)
        advanced = await assembly.runner.start(contract, first)
        told = await standing(assembly.services, advanced.run.run_id)
        note = "another process advances it" if isinstance(advanced, Busy) else ""
        return tell_run(Screen.of(args), args, told, now=assembly.services.mint.now(), note=note)
