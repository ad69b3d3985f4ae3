"""The windows of one run, as the contract that it pinned limits them.

Knows: one window a unit; what the contract does not limit counts without a limit that anybody meets, but steps.
A limit in the database is believed up to what the pinned contract says: whoever has SQL raises none.
"""

from collections.abc import Iterable, Mapping

from leverframe.domain.budgets import RUN_UNITS, BudgetUnit, Window
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.ids import WindowId
from leverframe.domain.policy import SourceRef
from leverframe.domain.runs import Run

# A window without a limit of the contract's still counts; nothing real comes near this.
UNLIMITED = 2**53
DEFAULT_MAX_STEPS = 50
_DEFAULT = SourceRef(file="(default)")

_KEYS: Mapping[BudgetUnit, str] = {
    BudgetUnit.USD: "max_usd",
    BudgetUnit.INPUT_TOKENS: "max_input_tokens",
    BudgetUnit.OUTPUT_TOKENS: "max_output_tokens",
    BudgetUnit.MODEL_CALLS: "max_model_calls",
    BudgetUnit.TOOL_CALLS: "max_tool_calls",
    BudgetUnit.STEPS: "max_steps",
    BudgetUnit.WALL_US: "max_wall_s",
}


def is_of_a_key(run: Run) -> bool:
    """Whether an agent's own key opened the run: it is no task, but all that the key does for a while."""
    return run.item.startswith("key:")


def fresh_windows(contract: Contract, window_id: WindowId, *, is_a_task: bool = True) -> tuple[Window, ...]:
    """One window a unit: limited where the contract says so, else counting only; the steps of a task always are."""
    return tuple(
        Window(
            window_id=window_id,
            unit=unit,
            limit=limit,
            source=contract.budget.sources.get(unit, _DEFAULT),
            key=_KEYS[unit],
        )
        for unit, limit in _limits(contract, is_a_task=is_a_task).items()
    )


def check_limits(contract: Contract, window_id: WindowId, stored: Iterable[Window], *, is_a_task: bool = True) -> None:
    """Hold a run's stored windows against the contract that it pinned.

    A lower limit than the contract's is let be: it harms its own run alone.

    Raises:
        AuthorityForged: a limit is above the contract's, or a window is gone.
    """
    limits, found = _limits(contract, is_a_task=is_a_task), {one.unit: one.limit for one in stored}
    for unit, limit in limits.items():
        there = found.get(unit)
        if there is not None and there > limit:
            raise _forged(window_id, unit, f"it is {there}, and the contract that the run pinned says {limit}")
        if there is None:
            raise _forged(window_id, unit, f"its window is gone, and the contract that the run pinned says {limit}")


def _limits(contract: Contract, *, is_a_task: bool) -> Mapping[BudgetUnit, int]:
    limits: dict[BudgetUnit, int] = dict.fromkeys(RUN_UNITS, UNLIMITED)
    limits[BudgetUnit.STEPS] = DEFAULT_MAX_STEPS
    limits.update(contract.budget.limits)
    if not is_a_task and contract.budget.sources.get(BudgetUnit.STEPS, _DEFAULT) == _DEFAULT:
        limits[BudgetUnit.STEPS] = UNLIMITED
    return limits


def _forged(window_id: WindowId, unit: BudgetUnit, why: str) -> AuthorityForged:
    return AuthorityForged(
        f"The limit {_KEYS[unit]!r} of {window_id!r} was changed outside of Leverframe: {why}.  Its calls do not run.",
        next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
    )
