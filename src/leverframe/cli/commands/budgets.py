"""`leverframe budgets`: the limits of tenants and workflows over all their runs, and what is left of them."""

import asyncio
from argparse import Namespace

from leverframe.cli.accounts import usd
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import load
from leverframe.cli.screen import Part, Screen
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Project
from leverframe.domain.json import Json
from leverframe.domain.money import usd_text
from leverframe.domain.time import duration_text, rfc3339_s
from leverframe.runtime.spending import OpenWindow, open_windows
from leverframe.wiring.assembly import Assembly, open_assembly


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list",
        help="what is left in each window",
        description=(
            "List every window of `budgets` in leverframe.yaml that is open now: its limit, what is settled and what\n"
            "calls at work have reserved, what is left, and when it resets."
        ),
    )
    listing.set_defaults(act=_list)


def run(args: Namespace) -> int:
    """Do what the verb says."""
    return asyncio.run(_opened(args, load(args)))


async def _opened(args: Namespace, project: Project) -> int:
    async with open_assembly(project, create=False) as assembly:
        code: int = await args.act(args, assembly)
        return code


async def _list(args: Namespace, assembly: Assembly) -> int:
    screen, services = Screen.of(args), assembly.services
    now = services.mint.now()
    found = await open_windows(services, now)
    if screen.is_json:
        screen.document([_document(one) for one in found])
        return 0
    if not found:
        screen.line("The project has no budget of a tenant or a workflow; the limits of one run stand in its contract.")
        screen.line("For example, in leverframe.yaml: budgets: [{tenant: default, window: month, max_usd: 200}]")
        return 0
    rows: list[tuple[Part, ...]] = []
    for one in found:
        window = one.window
        left_s = (window.resets_at - now).total_seconds() if window.resets_at is not None else 0.0
        resets = f"{rfc3339_s(window.resets_at)}, in {duration_text(left_s)}" if window.resets_at else "never"
        amounts = (window.limit, window.settled, window.reserved, window.left)
        rows.append((window.budget, window.key, *(_amount(window, each) for each in amounts), resets))
    screen.table(("BUDGET", "LIMITS", "LIMIT", "SETTLED", "RESERVED", "LEFT", "RESETS"), rows)
    return 0


def _amount(window: Window, amount: int) -> str:
    return usd_text(amount) if window.unit is BudgetUnit.USD else f"{amount:,}"


def _document(one: OpenWindow) -> Json:
    window = one.window
    is_money = window.unit is BudgetUnit.USD
    amounts = {"limit": window.limit, "settled": window.settled, "reserved": window.reserved, "left": window.left}
    return {
        "budget": window.budget,
        "tenant": one.tenant,
        "window": window.window_id,
        "key": window.key,
        **{name: usd(amount) if is_money else amount for name, amount in amounts.items()},
        "resets_at": rfc3339_s(window.resets_at) if window.resets_at is not None else None,
        "source": str(window.source),
    }
