"""Which commands there are, in the groups of the help.

Knows: names and one sentence each.  Never: imports a command; a module of `cli.commands` is named here as text and
imported when its command is typed, so that help needs no store, no model and no cryptography (ADR-0002).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name, which is that of its module too, and what it does in a sentence."""

    name: str
    summary: str

    def module(self) -> ModuleType:
        """Import what does it."""
        return import_module(f"leverframe.cli.commands.{self.name}")


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that stand together in the help."""

    title: str
    commands: tuple[Command, ...]


GROUPS: tuple[Group, ...] = (
    Group(
        "Start",
        (
            Command("init", "Write a small project that runs."),
            Command("check", "Judge the files of a project, or one contract."),
            Command("show", "Say what a workflow may do, where it stops and what it leaves."),
            Command("demo", "Play a first run, held, granted and explained, in a new folder."),
            Command("serve", "Serve models to agents of any framework, every call through the door."),
        ),
    ),
    Group(
        "Work",
        (
            Command("run", "Start a run of a workflow, or one for each line of a file."),
            Command("runs", "List, show, resume, settle and end runs."),
            Command("approvals", "List, show, grant and deny held calls."),
        ),
    ),
    Group(
        "Answer for it",
        (
            Command("why", "Say what was called, on what data, which rule, who approved, what it cost."),
            Command("evidence", "Show, verify and export the log; write the trust file of an auditor."),
        ),
    ),
    Group(
        "Control",
        (
            Command("policy", "Explain what a workflow's policy says about a call."),
            Command("tools", "List the tools of servers, see what changed, pin what you have reviewed, test them."),
            Command("keys", "Make, list, show, rotate and revoke the API keys of agents."),
            Command("doctor", "Ask whoever knows about what no file says: may a credential do more than it needs?"),
            Command("labels", "Endorse a value that a run read, so that later calls may rest on it."),
            Command("kill", "Stop calls now: of everything, a tenant, workflow, tool, model or key."),
            Command("unkill", "Clear a kill switch."),
            Command("budgets", "List what is left of limits over all runs, and raise one for a while."),
            Command("signer", "Hold the keys of evidence logs as another user, and refuse to sign a rollback."),
        ),
    ),
    Group("Reference", (Command("schema", "Print the JSON Schema of a file that you write."),)),
)


def commands() -> Iterator[Command]:
    """Every command, in the order of the help."""
    for group in GROUPS:
        yield from group.commands
