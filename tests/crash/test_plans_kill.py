"""SIGKILL in a run with a plan, quoted text and an audience: it goes on under the plan that it had, and says no more.

The model plays a recording, so that a run that is taken up again asks for exactly what it asked before; that the
journal answers it proves that what the model was shown is the same bytes.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leverframe.domain.ids import RunId
from leverframe.domain.runs import RunOutcome, RunState
from leverframe.ports.store import RunFilter
from leverframe.runtime.why import why
from tests.door_desk import CONTRACT, PROJECT_FILE, Desk, open_desk, write_desk
from tests.sampling import ROOT, sample

PROJECT = (
    PROJECT_FILE
    + "providers: {played: {wire: recorded, file: recordings/desk.jsonl}}\nmodels: {fast: [played/planner]}\n"
)
GUARDED = CONTRACT + "plan: {declare: true}\ncontext: {untrusted: quote}\naudience: tenant\n"
CALLS = [
    ("declare_plan", {"tools": {"look_up": 1, "issue_refund": 1}}),
    ("look_up", {"order_id": "W00002"}),
    ("issue_refund", {"order_id": "W00002", "amount_usd": 20}),
]
# How often the run passes each place: four steps of the model, four calls, two facts.
PLACES = {"after_decided": 6, "after_settled": 8, "before_send": 8, "after_intended": 1, "before_run_ended": 1}
CASES = [f"{name}:{number + 1}" for name, times in PLACES.items() for number in range(times)]


def recording() -> str:
    usage = {"input_tokens": 10, "output_tokens": 5}
    turns = [
        {"text": "", "tool_calls": [{"name": name, "arguments": arguments}], "usage": usage}
        for name, arguments in CALLS
    ]
    turns.append({"text": "Refunded.", "tool_calls": [], "usage": usage})
    return "".join(
        json.dumps({"request": {"turn": turn}, "answer": answer}) + "\n" for turn, answer in enumerate(turns)
    )


def run(folder: Path, crash_at: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "leverframe", "-C", str(folder), "run", "desk", "--file", str(folder / "items.jsonl")],
        cwd=ROOT,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "LEVERFRAME_CRASH_AT": crash_at},
        capture_output=True,
        timeout=120,
        check=False,
    )


def only_run(desk: Desk) -> RunId:
    (found,) = desk.do(desk.runner.services.journal.runs(RunFilter(limit=10)))
    return found.run_id


@pytest.mark.parametrize("crash_at", sample(CASES, 5))
def test_a_run_that_is_killed_goes_on_under_the_plan_that_it_had(tmp_path: Path, crash_at: str) -> None:
    write_desk(tmp_path, GUARDED, project=PROJECT, **{"recordings/desk.jsonl": recording()})
    (tmp_path / "items.jsonl").write_text('{"customer_id": "c_1", "message": "refund W00002"}\n')

    died = run(tmp_path, crash_at)
    finished = run(tmp_path)

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert finished.returncode == 0, finished.stdout.decode() + finished.stderr.decode()
    with open_desk(tmp_path) as desk:
        run_id = only_run(desk)
        told = desk.do(why(desk.runner.services, run_id))
        row = desk.run_row(run_id)
        assert (row.state, row.outcome) == (RunState.ENDED, RunOutcome.SUCCESS)
        assert desk.effects() == {"issue_refund": 1}
        assert told.plan is not None
        assert told.plan.declared == 1
        assert dict(told.plan.tools) == {"look_up": (1, 1), "issue_refund": (1, 1)}
        assert [call.tool for call in told.calls] == ["declare_plan", "look_up", "issue_refund", "give_output"]
        assert not told.inclusion.problem
