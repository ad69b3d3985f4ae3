"""The words of `leverframe kill` and `leverframe unkill`, which are alike."""

from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.project import tenant_of
from leverframe.domain.authority import KillScope, KillSwitch
from leverframe.domain.contracts import Project
from leverframe.domain.json import Json
from leverframe.domain.time import rfc3339
from leverframe.runtime.kills import KillAsk

_WHAT = {
    KillScope.EVERYTHING: ("", "every call"),
    KillScope.TENANT: ("TENANT", "every call of one tenant"),
    KillScope.WORKFLOW: ("WORKFLOW", "every call of one workflow's runs"),
    KillScope.TOOL: ("TOOL", "every call of one tool"),
    KillScope.MODEL: ("MODEL", "every call of one model, PROVIDER/MODEL, or of a PROVIDER"),
    KillScope.KEY: ("KEY", "every call with one key, by its id, or by its name and so of its successors too"),
}


def add_scopes(parser: CommandParser, doing: str, why: str, *, lists: bool = False) -> None:
    """Take the scopes as verbs.

    Args:
        parser: the command's.
        doing: what the command does to such calls: "Stop" or "Let go on".
        why: an example of a reason.
        lists: take the verb `list` as well.
    """
    verbs = parser.add_subparsers(dest="scope", metavar="WHAT", required=True)
    for scope, (name, what) in _WHAT.items():
        verb = verbs.add_parser(scope.value, help=what, description=f"{doing} {what}.")
        if name:
            verb.add_argument("name", metavar=name, help="its name")
        verb.add_argument("--because", required=True, metavar="TEXT", help=f'why, for the record, such as "{why}"')
        verb.add_argument("--tenant", metavar="TENANT", help="of this tenant alone (default: of all)")
    if lists:
        verbs.add_parser("list", help="the switches that are on", description="List the switches that are on.")


def ask_of(args: Namespace, project: Project, *, has_names: bool = True) -> KillAsk:
    """What was typed.  Raises NotFound where there is no such tenant.

    `has_names`: the workflows and tools of the project are known, so that a name of one can be looked up.
    """
    tenant = tenant_of(project, args.tenant) if args.tenant else None
    return KillAsk(
        scope=KillScope(args.scope),
        name=getattr(args, "name", ""),
        tenant=tenant,
        because=args.because,
        has_names=has_names,
    )


def stopped_text(switch: KillSwitch) -> str:
    """`every call of tool issue_refund, tenant acme`."""
    what = "every call" if switch.scope is KillScope.EVERYTHING else f"every call of {switch.scope.value} {switch.name}"
    return f"{what}, tenant {switch.tenant}" if switch.tenant is not None else what


def switch_document(switch: KillSwitch, *, is_on: bool) -> dict[str, Json]:
    """The same as JSON."""
    return {
        "scope": switch.scope.value,
        "name": switch.name or None,
        "tenant": switch.tenant,
        "is_on": is_on,
        "by": switch.by,
        "at": rfc3339(switch.at),
    }
