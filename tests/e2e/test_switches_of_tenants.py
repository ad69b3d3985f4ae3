"""A kill switch that several tenants share, while one of them is taken out of leverframe.yaml and put back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from leverframe.cli.main import main
from leverframe.domain.authority import KillScope
from leverframe.domain.ids import PrincipalId
from leverframe.domain.json import JsonObject
from leverframe.runtime.kills import KillAsk, clear, throw
from leverframe.runtime.outcomes import Answered
from leverframe.testing import FakeClock
from tests.door_desk import open_desk, write_desk

OMAR = PrincipalId("person:omar")
ORDER: JsonObject = {"order_id": "W00001", "status": "paid"}
BOTH, ALONE = ("default", "globex"), ("globex",)
ASK = KillAsk(scope=KillScope.EVERYTHING, name="", tenant=None, because="the shop is on fire")


def with_tenants(folder: Path, tenants: tuple[str, ...]) -> None:
    known = ", ".join(f"{name}: {{}}" for name in tenants)
    write_desk(folder, project=f"people: {{omar: {{roles: [approver]}}}}\ntenants: {{{known}}}\n")


def move(folder: Path, tenants: tuple[str, ...], *moves: str) -> None:
    """Throw or clear the switch under a project that has these tenants."""
    with_tenants(folder, tenants)
    with open_desk(folder, FakeClock(datetime.now(UTC)), seed=len(list(folder.rglob("*.seed")))) as desk:
        for one in moves:
            does = throw if one == "throw" else clear
            desk.do(does(desk.runner.services, desk.person("omar"), ASK, proof="test"))
    (folder / f"{len(list(folder.rglob('*.seed')))}.seed").touch()


@pytest.mark.parametrize(
    "moves",
    [
        [(BOTH, "throw"), (ALONE, "clear")],
        [(BOTH, "throw"), (ALONE, "throw", "clear")],
        [(BOTH, "throw"), (("globex", "default"), "throw"), (ALONE, "clear")],
    ],
    ids=["cleared without it", "thrown again and cleared without it", "another order"],
)
def test_a_tenant_that_was_not_there_when_a_switch_was_cleared_may_call_when_it_is_back(
    tmp_path: Path, moves: list[tuple[tuple[str, ...], *tuple[str, ...]]], capsys: pytest.CaptureFixture[str]
) -> None:
    for tenants, *words in moves:
        move(tmp_path, tenants, *words)
    with_tenants(tmp_path, BOTH)
    with open_desk(tmp_path, FakeClock(datetime.now(UTC)), seed=9) as desk:
        answer = desk.call(desk.open(), "set_status", ORDER)

    code = main(["-C", str(tmp_path), "evidence", "verify"])

    assert isinstance(answer, Answered)
    assert code == 0, capsys.readouterr().out
