"""`leverframe budgets`: limits over all runs, what is left of them, and raising one for a while."""

import asyncio
from argparse import Namespace
from datetime import timedelta
from decimal import Decimal

from leverframe.cli.accounts import usd
from leverframe.cli.durations import span_of
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import load
from leverframe.cli.screen import Part, Screen
from leverframe.core.shared_budgets import SHARED_KEYS
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Project
from leverframe.domain.errors import UsageError
from leverframe.domain.ids import BudgetId
from leverframe.domain.json import Json
from leverframe.domain.money import MicroUsd, micro_usd, usd_text
from leverframe.domain.time import duration_text, rfc3339, rfc3339_s
from leverframe.runtime.raises import raise_budget
from leverframe.runtime.spending import OpenWindow, open_windows
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, identify

_COUNTED = tuple(unit for unit in SHARED_KEYS if unit is not BudgetUnit.USD)
_MOST = 10**15  # of any unit, micro-dollars too


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
    raising = verbs.add_parser(
        "raise",
        help="add to a budget for a while",
        description=(
            "Add to limits of a budget until a time; they fall back by themselves, and what was used meanwhile stays\n"
            "used.  An approver of its tenant may, and it is recorded."
        ),
    )
    raising.add_argument("budget", metavar="BUDGET", help="as `budgets list` names it, such as tenant/acme/month")
    raising.add_argument("--for", dest="lasts", required=True, metavar="SPAN", help="how long, such as 2h")
    raising.add_argument("--because", default="", metavar="TEXT", help="why, for the record")
    raising.add_argument("--usd", metavar="AMOUNT", help="dollars more, such as 50")
    for unit in _COUNTED:
        raising.add_argument(f"--{_flag(unit)}", metavar="N", help=f"that many more of {SHARED_KEYS[unit]}")
    raising.set_defaults(act=_raise)


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
    is_raised = any(one.raised for one in found)
    for one in found:
        window = one.window
        left_s = (window.resets_at - now).total_seconds() if window.resets_at is not None else 0.0
        resets = f"{rfc3339_s(window.resets_at)}, in {duration_text(left_s)}" if window.resets_at else "never"
        if window.unit is BudgetUnit.IN_FLIGHT:
            resets = "when a call ends"
        amounts = (window.limit, window.settled, window.reserved, window.left)
        raised = (_raised(one),) if is_raised else ()
        rows.append((window.budget, window.key, *(_amount(window, each) for each in amounts), *raised, resets))
    heads = ("BUDGET", "LIMITS", "LIMIT", "SETTLED", "RESERVED", "LEFT", *(("RAISED",) if is_raised else ()), "RESETS")
    screen.table(heads, rows)
    return 0


async def _raise(args: Namespace, assembly: Assembly) -> int:
    screen, services = Screen.of(args), assembly.services
    added = _added(args)
    made = await raise_budget(
        services,
        identify(assembly.project),
        BudgetId(args.budget),
        added,
        lasts=timedelta(seconds=span_of(args.lasts, "--for")),
        because=args.because,
        proof=PROOF,
    )
    windows = [one for one in await open_windows(services, services.mint.now()) if one.window.budget == args.budget]
    if screen.is_json:
        screen.document([_document(one) for one in windows])
        return 0
    for one in windows:
        if one.window.unit in added:
            until = rfc3339_s(made[0].until)
            screen.line(
                f"{one.window.budget}  {one.window.key}  {_amount(one.window, one.window.limit)} until {until},"
                f" {_amount(one.window, one.window.left)} left"
            )
    return 0


def _added(args: Namespace) -> dict[BudgetUnit, int]:
    """By how much each unit is raised.

    Raises:
        UsageError: by nothing, or by what is no amount.
    """
    added: dict[BudgetUnit, int] = {}
    if args.usd is not None:
        added[BudgetUnit.USD] = _dollars(args.usd)
    for unit in _COUNTED:
        text = getattr(args, _flag(unit).replace("-", "_"))
        if text is not None:
            added[unit] = _count(text, _flag(unit))
    if not added:
        raise UsageError("Nothing says by how much.", next_move="For example: --usd 50")
    return added


def _dollars(text: str) -> int:
    try:
        amount = micro_usd(Decimal(text))
    except (ArithmeticError, ValueError):
        amount = MicroUsd(0)
    if not 0 < amount <= _MOST:
        raise UsageError(f"--usd takes dollars above zero, such as 50 or 0.25; got {text!r}.", next_move="Mend it.")
    return amount


def _count(text: str, flag: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= _MOST):
        raise UsageError(f"--{flag} takes a whole number above zero; got {text!r}.", next_move="Mend it.")
    return int(text)


def _flag(unit: BudgetUnit) -> str:
    return SHARED_KEYS[unit].removeprefix("max_").replace("_", "-")


def _raised(one: OpenWindow) -> str:
    if not one.raises:
        return "-"
    return f"by {_amount(one.window, one.raised)} until {rfc3339_s(max(each.until for each in one.raises))}"


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
        "raises": [
            {
                "amount": usd(each.amount) if is_money else each.amount,
                "until": rfc3339(each.until),
                "by": each.by,
            }
            for each in one.raises
        ],
        "resets_at": rfc3339_s(window.resets_at) if window.resets_at is not None else None,
        "source": str(window.source),
    }
