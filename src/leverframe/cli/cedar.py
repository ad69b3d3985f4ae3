"""`leverframe policy export` and `policy import`: the rules of a workflow as Cedar, and Cedar as a contract."""

from argparse import Namespace, _SubParsersAction

from leverframe.cli.parser import CommandParser
from leverframe.cli.project import contract_of, load, named_file
from leverframe.cli.screen import Screen
from leverframe.domain.contracts import Project
from leverframe.domain.errors import UsageError
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json
from leverframe.domain.tools import ToolSpec


def add_cedar(verbs: "_SubParsersAction[CommandParser]") -> None:
    """Take the two verbs."""
    out = verbs.add_parser(
        "export",
        help="print the rules of a workflow as Cedar",
        description=(
            "Print the rules of a workflow as Cedar.  Each call is asked twice: allowed with context.approved false\n"
            "is allow, allowed with true only is hold, all else is deny.  With --json: what the context must carry."
        ),
    )
    out.add_argument("workflow", nargs="?", metavar="WORKFLOW", help="whose policy (needed where there are several)")
    out.add_argument("--format", choices=("cedar",), default="cedar", help="the language (cedar)")
    out.add_argument("--environment", metavar="NAME", help="as this environment narrows it (the contract's first)")
    out.set_defaults(act=_export)
    into = verbs.add_parser(
        "import",
        help="print a Cedar file as a contract",
        description=(
            "Print the policies of a Cedar file as a contract, to read and to keep.  Nothing is written, and what a\n"
            "contract cannot say is an error that names the policy and the construct."
        ),
    )
    into.add_argument("file", metavar="FILE", help="a .cedar file; its actions are tools of this project")
    into.add_argument("--workflow", metavar="NAME", default="imported", help="its name, where the file has none")
    into.set_defaults(act=_import)


def _export(args: Namespace) -> int:
    # Both are loaded here, since `policy explain` needs neither.
    from leverframe.core.cedar import export_policy
    from leverframe.core.policy import compile_contract

    project = load(args)
    workflow = args.workflow or _only_workflow(project)
    contract = contract_of(project, workflow, args.environment)
    export = export_policy(compile_contract(contract), workflow=workflow)
    screen = Screen.of(args)
    if not screen.is_json:
        screen.verbatim(export.text)
        return 0
    fields: list[Json] = [
        {
            "tool": tool,
            "field": list(keys),
            "type": reading.cedar_type,
            "reads": reading.text,
            "places": layout.scales.get(reading.scale_key, 0),
        }
        for tool, layout in export.layouts.items()
        for reading, keys in layout.fields.items()
    ]
    screen.document({"workflow": workflow, "format": args.format, "text": export.text, "context": fields})
    return 0


def _import(args: Namespace) -> int:
    from leverframe.config.cedar_file import contract_text, read_cedar  # see `_export`

    tools = _tools(load(args))
    imported = read_cedar(named_file(args, args.file), tools=tools)
    text = contract_text(imported, workflow=args.workflow, tools=tools)
    screen = Screen.of(args)
    if screen.is_json:
        screen.document({"workflow": imported.workflow or args.workflow, "text": text, "notes": list(imported.notes)})
        return 0
    screen.verbatim(text)
    screen.warn(*imported.notes)
    return 0


def _only_workflow(project: Project) -> str:
    names = tuple(project.contracts)
    if len(names) == 1:
        return names[0]
    raise UsageError(f"This project has several workflows: {', '.join(names)}.", next_move="Name one of them.")


def _tools(project: Project) -> dict[ToolName, ToolSpec]:
    """Every tool that a contract of the project names."""
    return {name: spec for contract in project.contracts.values() for name, spec in contract.tools.items()}
