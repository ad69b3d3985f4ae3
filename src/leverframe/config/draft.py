"""A project drafted from what one MCP server says of itself: its server entry, a file a tool, and a contract.

Knows: that what a server says lowers nothing: no drafted file names an effect, so every tool is irreversible and every
call is held until a person has said what it does.  Never: keeps a character in a text that a person would not see.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe.config.json_schema_rules import schema_problem
from leverframe.core import canonical
from leverframe.core.hidden_text import is_hidden
from leverframe.core.json_lines import spread
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import Offering

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MAX_TEXT: Final = 1_000
_NOTES: Final = "A tool counts as irreversible until a person has said what it does: leverframe tools pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDraft:
    """One server entry of `leverframe.yaml`.  Paths are of the project or absolute; `url` is empty for a command."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    readable: tuple[str, ...] = ()
    writable: str = ""
    trusted_because: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A tool that has no file, and why."""

    name: str
    why: str


def project_text(server: ServerDraft) -> str:
    """`leverframe.yaml` for one server."""
    entry: dict[str, Json] = {"mcp": list[Json](server.command)} if server.command else {"url": server.url}
    if server.readable:
        entry["readable"] = list[Json](server.readable)
    if server.writable:
        entry["writable"] = server.writable
    if server.trusted_because:
        entry["trusted_process"] = {"because": server.trusted_because}
    lines = [f"  # {note}" for note in server.notes]
    keys = [f"    {key}: {canonical.encode(value).decode()}" for key, value in entry.items()]
    return "\n".join(["servers:", *lines, f"  {server.name}:", *keys, ""])


def tool_texts(server: str, offering: Offering) -> tuple[Mapping[str, str], tuple[LeftOut, ...]]:
    """A file of each tool, by its name, and the tools that have none."""
    found: dict[str, str] = {}
    left: list[LeftOut] = []
    for name, definition in sorted(offering.tools.items()):
        text, why = _tool_text(server, name, definition)
        if why:
            left.append(LeftOut(name=name, why=why))
        else:
            found[name] = text
    return found, tuple(left)


def contract_text(workflow: str, tools: Sequence[str]) -> str:
    """A contract that lets every tool be called and holds all but reads."""
    lines = [
        f"workflow: {workflow}",
        f"description: What an agent may do with the tools of {workflow}.",
        "budget: {max_tool_calls: 200, max_steps: 500}",
        "policy:",
        "  allow_tools:",
        *(f"    - {canonical.encode(name).decode()}" for name in tools),
        "  rules:",
        f"    # {_NOTES}",
        "    - id: writes-are-held",
        "      then: hold",
        "      effects: [idempotent, keyed, reconcilable, irreversible]",
        "      reason: A person answers every call that may change something.",
        "",
    ]
    return "\n".join(lines)


def reads_by_hint(definition: JsonObject) -> bool:
    """Whether the server hints that a tool changes nothing; its own word, which a person may believe."""
    annotations = definition.get("annotations")
    return isinstance(annotations, Mapping) and annotations.get("readOnlyHint") is True


def _tool_text(server: str, name: str, definition: JsonObject) -> tuple[str, str]:
    if _NAME.fullmatch(name) is None:
        return "", "its name is none that a tool of a project can have"
    given, answer = _schema(definition.get("inputSchema")), _schema(definition.get("outputSchema"))
    if given is None or given.get("type", "object") != "object":
        return "", "the schema of its arguments cannot be used"
    if "properties" in given and not {"additionalProperties", "allOf", "anyOf", "oneOf", "$ref"} & set(given):
        # The agent sends what is named; what the server would take beside it, nobody has read.
        given = {**given, "additionalProperties": False}
    hints = definition.get("annotations")
    lines = [
        *((f"# The server hints {canonical.encode(hints).decode()}, which is its own word.",) if hints else ()),
        f"# {_NOTES} {name} --effect EFFECT --because TEXT",
        f"tool: {canonical.encode(name).decode()}",
        f"from: {{mcp: {server}, name: {canonical.encode(name).decode()}}}",
        f"description: {canonical.encode(_seen(str(definition.get('description', '')))).decode()}",
        f"input: {spread(given, '  ').rstrip()}",
        *((f"output: {spread(answer, '  ').rstrip()}",) if answer else ()),
        "",
    ]
    return "\n".join(lines), ""


def _schema(value: Json) -> dict[str, Json] | None:
    """A schema as a file of the project can have it: without a dialect, self-contained, of visible characters."""
    if not isinstance(value, Mapping):
        return None
    found = {key: _visible(one) for key, one in value.items() if key != "$schema"}
    if schema_problem(found) is not None or not _is_local(found):
        return None
    return found


def _visible(value: Json) -> Json:
    if isinstance(value, str):
        return "".join(char for char in value if not is_hidden(char))
    if isinstance(value, Mapping):
        return {str(_visible(key)): _visible(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(one) for one in value]
    return value


def _is_local(value: Json) -> bool:
    if isinstance(value, Mapping):
        references = (value.get(key) for key in ("$ref", "$dynamicRef"))
        if any(isinstance(one, str) and not one.startswith("#") for one in references):
            return False
        return all(_is_local(one) for one in value.values())
    return all(_is_local(one) for one in value) if isinstance(value, list | tuple) else True


def _seen(text: str) -> str:
    """A description in one line of what a person sees."""
    plain = " ".join("".join(char for char in text if not is_hidden(char)).split())
    return plain if len(plain) <= _MAX_TEXT else f"{plain[: _MAX_TEXT - 1]}…"
