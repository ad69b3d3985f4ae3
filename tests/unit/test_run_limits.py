"""A run's limits are those of the contract that it pinned, whatever the database says."""

from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.domain.budgets import RUN_UNITS, BudgetUnit, Window
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.ids import WindowId, WorkflowName
from leverframe.runtime.run_limits import DEFAULT_MAX_STEPS, UNLIMITED, check_limits, fresh_windows
from tests.door_desk import write_desk

WINDOW = WindowId("run/run_1")


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    write_desk(tmp_path)
    return load_project(tmp_path).contracts[WorkflowName("desk")]


@pytest.fixture
def windows(contract: Contract) -> tuple[Window, ...]:
    """As they were opened, with something spent."""
    opened = fresh_windows(contract, WINDOW)
    return tuple(replace(one, settled=one.limit, reserved=0) for one in opened)


def changed(windows: tuple[Window, ...], unit: BudgetUnit, by: int) -> tuple[Window, ...]:
    return tuple(replace(one, limit=one.limit + by) if one.unit is unit else one for one in windows)


def test_every_unit_has_a_window_and_steps_are_limited(contract: Contract, windows: tuple[Window, ...]) -> None:
    limits = {one.unit: one.limit for one in windows}

    assert set(limits) == set(RUN_UNITS)
    assert limits[BudgetUnit.STEPS] <= DEFAULT_MAX_STEPS
    assert {unit: limits[unit] for unit in contract.budget.limits} == dict(contract.budget.limits)
    assert UNLIMITED in limits.values()


def test_windows_as_they_were_opened_are_believed(contract: Contract, windows: tuple[Window, ...]) -> None:
    check_limits(contract, WINDOW, windows)


@pytest.mark.parametrize("unit", RUN_UNITS)
def test_a_limit_above_the_contracts_is_refused_and_named(
    contract: Contract, windows: tuple[Window, ...], unit: BudgetUnit
) -> None:
    with pytest.raises(AuthorityForged, match=r"The limit 'max_\w+' of 'run/run_1' was changed outside"):
        check_limits(contract, WINDOW, changed(windows, unit, 1))


@pytest.mark.parametrize("unit", RUN_UNITS)
def test_a_lower_limit_is_let_be(contract: Contract, windows: tuple[Window, ...], unit: BudgetUnit) -> None:
    check_limits(contract, WINDOW, changed(windows, unit, -1))


@pytest.mark.parametrize("unit", RUN_UNITS)
def test_a_window_that_is_gone_is_refused(contract: Contract, windows: tuple[Window, ...], unit: BudgetUnit) -> None:
    with pytest.raises(AuthorityForged, match="its window is gone"):
        check_limits(contract, WINDOW, [one for one in windows if one.unit is not unit])
