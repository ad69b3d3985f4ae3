"""`leverframe init --mcp`: from a server's command to a project in which every call is bounded."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import EffectClass
from leverframe.runtime.outcomes import Answered, HeldBack, Refused, ToolOutcome
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import open_assembly
from tests.typed import Shell

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOOKUP = {
    "name": "lookup",
    "description": "Find\u200b an order: no, yes, 1e3, #1, {x}\nand more.",
    "inputSchema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"order_id": {"type": "string", "pattern": "^W"}, "y": {"enum": ["no", "~", None, 1.5]}},
    },
    "annotations": {"readOnlyHint": True},
}
REFUND = {"name": "refund", "description": "Refund.", "inputSchema": {"type": "object"}}
ODD = {"name": "überweisen", "inputSchema": {"type": "object"}}
FOREIGN = {"name": "foreign", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}}}


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shutil.copy(FIXTURES / "mcp_changing.py", tmp_path / "shop_server.py")
    tools = [LOOKUP, REFUND, ODD, FOREIGN]
    (tmp_path / "offer.json").write_text(json.dumps({"info": {"name": "shop", "version": "1"}, "tools": tools}))
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path / "desk", capsys, monkeypatch)


def called(root: Path, workflow: str, tool: str, args: JsonObject) -> ToolOutcome:
    async def play() -> ToolOutcome:
        project = load_project(root)
        opening = Opening(
            tenant=TenantId("default"),
            environment=EnvironmentName("default"),
            initiator=PrincipalId("agent:desk"),
            launcher=PrincipalId("os:test"),
            input={},
        )
        async with open_assembly(project, create=True) as assembly:
            run = await assembly.runner.open_outside(project.contracts[WorkflowName(workflow)], opening)
            return await run.call_tool(tool, args)

    return asyncio.run(play())


def init(shell: Shell, *words: str) -> str:
    given = f"python {Path('shop_server.py')} offer.json"
    typed = shell.type_anywhere("init", "desk", "--mcp", given, "--trusted", "a test", *words)
    assert typed.code == 0, typed.err
    return typed.out


def test_what_is_drafted_loads_and_names_no_effect(shell: Shell) -> None:
    said = init(shell)

    assert {".leverframe/", "agent.env"} <= set((shell.root / ".gitignore").read_text().splitlines())
    project, problems = load_project_lenient(shell.root)
    assert project is not None
    assert {one.code for one in problems} <= {"tool-quarantined", "no-model", "no-roles"}
    assert set(project.tools) == {"lookup", "refund"}
    assert {spec.effect for spec in project.tools.values()} == {EffectClass.IRREVERSIBLE}
    assert project.tools[next(iter(project.tools))].description == "Find an order: no, yes, 1e3, #1, {x} and more."
    assert "überweisen" in said
    assert "foreign" in said
    assert "left out" in said
    assert "hidden-text" in said


def test_arguments_that_the_server_does_not_name_are_refused(shell: Shell) -> None:
    init(shell)
    shell.type("tools", "pin", "lookup", "refund", "--because", "read")

    outcome = called(shell.root, "shop", "lookup", {"order_id": "W1", "notes": "all my mail"})

    assert isinstance(outcome, Refused)
    assert "notes" in outcome.message


def test_nothing_is_sent_before_a_pin_and_everything_is_held_after_it(shell: Shell) -> None:
    init(shell)

    before = called(shell.root, "shop", "lookup", {"order_id": "W1"})
    shell.type("tools", "pin", "lookup", "--because", "seen the hidden character")
    after = called(shell.root, "shop", "lookup", {"order_id": "W1"})

    assert isinstance(before, Refused)
    assert isinstance(after, HeldBack)
    assert not (shell.root / "calls.txt").exists()


def test_a_person_who_believes_the_hints_lets_reads_run_and_holds_the_rest(shell: Shell) -> None:
    init(shell)

    unexplained = shell.type("tools", "pin", "--believe-hints")
    shell.type("tools", "pin", "lookup", "refund", "--believe-hints", "--because", "I have read what they do")

    assert unexplained.code == 2
    assert isinstance(called(shell.root, "shop", "lookup", {"order_id": "W1"}), Answered)
    assert isinstance(called(shell.root, "shop", "refund", {}), HeldBack)


def test_a_server_that_does_not_start_leaves_nothing_behind(shell: Shell) -> None:
    before = sorted(path.name for path in shell.root.parent.iterdir())

    typed = shell.type_anywhere("init", "desk", "--mcp", "python -c pass", "--name", "shop", "--trusted", "a test")

    assert typed.code == 3
    assert [path.name for path in sorted(shell.root.parent.iterdir()) if not path.name.startswith("config")] == before


def test_a_project_that_is_there_is_not_overwritten(shell: Shell) -> None:
    init(shell)

    again = shell.type_anywhere("init", "desk", "--mcp", "python shop_server.py offer.json", "--trusted", "a test")

    assert again.code == 2
    assert "already there" in again.err


@pytest.mark.parametrize(
    "words",
    [
        ("--mcp", " "),
        ("--mcp", "python '"),
        ("--mcp", "npx --weird"),
        ("--mcp", "python -c pass", "--name", "a b"),
        ("--name", "shop"),
    ],
)
def test_words_that_say_nothing_are_refused_and_nothing_is_written(shell: Shell, words: tuple[str, ...]) -> None:
    typed = shell.type_anywhere("init", "desk", *words)

    assert typed.code == 2
    assert not shell.root.exists()


def test_a_command_that_is_empty_writes_no_project_of_another_kind(shell: Shell) -> None:
    typed = shell.type_anywhere("init", "desk", "--mcp", "")

    assert typed.code == 2
    assert "--mcp takes a command or an address" in typed.err
    assert not shell.root.exists()


def test_the_command_to_try_by_hand_can_be_pasted(shell: Shell) -> None:
    given = "python -c 'import sys; sys.exit(1)'"

    typed = shell.type_anywhere("init", "desk", "--mcp", given, "--name", "shop", "--trusted", "a test")

    assert f"Run it by hand: {given}" in typed.err


@pytest.mark.needs(program="npm")
@pytest.mark.needs(program="bwrap")
def test_the_file_system_server_works_in_its_sandbox_from_npx_to_a_call(shell: Shell) -> None:
    given = "npx -y @modelcontextprotocol/server-filesystem@2026.8.31 ./files"

    typed = shell.type_anywhere("init", "desk", "--mcp", given)
    assert typed.code == 0, typed.err
    (shell.root / "files" / "a.txt").write_text("forty-two")
    pinned = shell.type("tools", "pin", "--believe-hints", "--because", "I have read what they do")
    assert pinned.code == 0, pinned.out + pinned.err

    read = called(shell.root, "filesystem", "read_text_file", {"path": "a.txt"})
    write = called(shell.root, "filesystem", "write_file", {"path": "b.txt", "content": "x"})
    assert isinstance(read, Answered), read
    assert "forty-two" in json.dumps(read.value)
    assert isinstance(write, HeldBack)
    assert not (shell.root / "files" / "b.txt").exists()
