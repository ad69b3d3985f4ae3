"""What must be true of a project whose processes were killed and whose work was then finished."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leverframe.cli.main import main
from leverframe.config.project import load_project
from leverframe.core import merkle
from leverframe.core.canonical import decode
from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.domain.runs import Run, RunState, StepState
from leverframe.ports.store import LoggedLeaf, RunFilter
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.receiver_project import WRITES, effects

TENANT = TenantId("default")
_OPEN_STEPS = {StepState.STARTED, StepState.INTENDED, StepState.HELD}

# A leaf is JSON, whose shape docs/evidence-record.md gives.
Leaf = Mapping[str, Any]


def assert_nothing_was_lost(folder: Path, orders: int) -> None:
    """Every write once or unknown, books that add up, an unbroken log, nothing that waits for ever."""
    asyncio.run(_check(folder, orders))
    assert main(["-C", str(folder), "evidence", "verify"]) == 0


async def _check(folder: Path, orders: int) -> None:
    async with open_assembly(load_project(folder), create=False) as assembly:
        services = assembly.services
        runs = await services.journal.runs(RunFilter(limit=100_000))
        size = (await services.evidence.tree(TENANT)).size
        leaves = await services.evidence.leaves(TENANT, 0, size)
        by_run: dict[str, list[Leaf]] = defaultdict(list)
        for one in leaves:
            leaf: Leaf = decode(one.leaf)  # type: ignore[assignment]  # a leaf is an object
            by_run[leaf.get("run_id", "")].append(leaf)
        unknown = Counter[tuple[str, str]]()
        for run in runs:
            unknown += await _check_run(assembly, run, by_run[run.run_id])
        assert len(runs) == len({run.item for run in runs}) == orders, [run.item for run in runs]
        for state in (ApprovalState.PENDING, ApprovalState.GRANTED):
            assert not await services.approvals.approvals(state, 10)
        await _check_tree(assembly, leaves)
    _check_effects(folder, orders, unknown)


async def _check_run(assembly: Assembly, run: Run, leaves: Sequence[Leaf]) -> Counter[tuple[str, str]]:
    """One run: over, or parked for a person on a write that nobody can tell of; its entries and its books."""
    services = assembly.services
    steps = await services.journal.steps(run.run_id)
    unknown = [step for step in steps if step.state is StepState.UNKNOWN]
    assert run.state is RunState.ENDED or (run.state is RunState.PARKED and unknown), (run.state, run.stop_reason)
    assert not [step for step in steps if step.state in _OPEN_STEPS], steps
    assert [leaf["run_seq"] for leaf in leaves] == list(range(1, len(leaves) + 1))
    logged = _spent(leaves)
    for window in await services.journal.windows(run.run_id):
        assert window.reserved == 0, window
        assert window.settled <= window.limit, window
        if window.unit is not BudgetUnit.WALL_US:
            assert window.settled == logged[f"{window.window_id}/{window.unit.value}"], (window, logged)
    kept = {one.digest: one for one in await services.evidence.disclosures_of_run(run.tenant, run.run_id)}
    opened = decode(kept[run.input_ref].value_bytes)
    assert isinstance(opened, dict)
    order = opened["input"]["order_id"]
    return Counter((step.name, order) for step in unknown)


def _spent(leaves: Sequence[Leaf]) -> Counter[str]:
    """What the log says was spent in each window: as settled, or as set aside where nothing else was said."""
    reserved: dict[str, dict[str, int]] = {}
    spent: dict[str, dict[str, int]] = {}
    for leaf in leaves:
        detail = leaf.get("detail", {})
        reservation = detail.get("reservation_id")
        if "reserved" in detail:
            reserved[reservation] = _amounts(detail["reserved"])
        if "settled" in detail and reservation not in spent:
            spent[reservation] = {**reserved.get(reservation, {}), **_amounts(detail["settled"])}
    assert set(reserved) <= set(spent), set(reserved) - set(spent)
    total = Counter[str]()
    for parts in spent.values():
        total.update(parts)
    return total


def _amounts(parts: Sequence[str]) -> dict[str, int]:
    """`run/run_1/usd=1000/50000` as {"run/run_1/usd": 1000}."""
    found = {}
    for part in parts:
        window, _, amount = part.partition("=")
        found[window] = int(amount.partition("/")[0])
    return found


async def _check_tree(assembly: Assembly, leaves: Sequence[LoggedLeaf]) -> None:
    """The tree of the leaves, hashed anew, is the one that is stored and the one that was signed."""
    grown = merkle.extend(TreeState(), [merkle.leaf_hash(one.leaf) for one in leaves]).state
    assert grown == await assembly.services.evidence.tree(TENANT)
    assert [one.index for one in leaves] == list(range(len(leaves)))


def _check_effects(folder: Path, orders: int, unknown: Counter[tuple[str, str]]) -> None:
    counted = effects(folder)
    assert all(tool == "send_letter" for tool, _ in unknown), unknown
    for order in (f"W{n}" for n in range(orders)):
        for tool in WRITES:
            times = counted[tool, order]
            allowed = {0, 1} if (tool, order) in unknown else {1}
            assert times in allowed, f"{tool} of {order} was done {times} times; unknown: {dict(unknown)}"
