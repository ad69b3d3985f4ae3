"""A project drafted around one MCP server: installed where it is a package, started once in its sandbox, written down.

Knows: which words of a command are folders, and so what the server may see of this machine.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from leverframe.config.draft import LeftOut, ServerDraft, contract_text, project_text, reads_by_hint, tool_texts
from leverframe.config.init import new_project, write_files
from leverframe.config.json_schemas import schema_text
from leverframe.config.project import load_project
from leverframe.core.reviewing import Standing, survey
from leverframe.domain.errors import UsageError
from leverframe.domain.pins import ToolsLock
from leverframe.tools.npm_packages import install, npx_command
from leverframe.wiring.upstreams import open_upstreams

_IGNORED = b".leverframe/\nagent.env\nnode_modules/\n"
_STEPS = ("leverframe.yaml", "tools", "workflows", "servers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What was written, and what the server offers."""

    name: str
    files: tuple[str, ...]
    server: ServerDraft
    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...]
    hinted_reads: tuple[str, ...]  # the tools that the server itself says change nothing


async def draft_project(folder: Path, given: str, *, name: str, trusted_because: str) -> Drafted:
    """Write a project for the tools of one server into a new or empty folder, whole or not at all.

    Args:
        folder: the project's.
        given: the command that starts the server, or its address.
        name: of the server and the workflow; empty: taken from the command.
        trusted_because: why the server may run outside of the sandbox; empty: it runs inside.

    Raises:
        UsageError: the command is none, or no name can be made of it.
        AlreadyExists: the folder has a project.
        ToolUnavailable: the server cannot be installed or started, or offers no list.
    """
    words = _words(given)
    name = name or _name_of(words)
    with new_project(folder, _STEPS) as staging:
        server = await _server(staging, folder, name, words, trusted_because)
        files = {
            "leverframe.yaml": _with_schema("project", "schemas", project_text(server)),
            ".gitignore": _IGNORED,
            **{f"schemas/{kind}.schema.json": schema_text(kind).encode() for kind in ("project", "workflow", "tool")},
        }
        write_files(staging, files)
        project = load_project(staging)
        async with open_upstreams(project) as upstreams:
            offering = await upstreams.offering(name)
        texts, left_out = tool_texts(name, offering)
        files |= {f"tools/{tool}.yaml": _with_schema("tool", "../schemas", text) for tool, text in texts.items()}
        files[f"workflows/{name}.yaml"] = _with_schema("workflow", "../schemas", contract_text(name, tuple(texts)))
        write_files(staging, files)
        project = load_project(staging)
        standings = survey(project.tools.values(), ToolsLock(), project.servers, {name: offering})
    return Drafted(
        name=name,
        files=tuple(files),
        server=server,
        standings=standings,
        left_out=left_out,
        hinted_reads=tuple(tool for tool in texts if reads_by_hint(offering.tools[tool])),
    )


async def _server(staging: Path, folder: Path, name: str, words: tuple[str, ...], trusted: str) -> ServerDraft:
    if len(words) == 1 and words[0].startswith(("https://", "http://")):
        return ServerDraft(name=name, url=words[0])
    npx = npx_command(words)
    if npx is None:
        return _with_paths(ServerDraft(name=name, command=words, trusted_because=trusted), staging, folder)
    home = f"servers/{name}"
    found = await install(npx, staging / home)
    note = f"{npx.name} {found.version}, installed once; after a clone: npm ci --ignore-scripts --prefix {home}"
    command = ("node", f"{home}/{found.entry}", *npx.words)
    draft = ServerDraft(
        name=name,
        command=command,
        readable=() if trusted else (home,),
        trusted_because=trusted,
        notes=(note,),
    )
    return _with_paths(draft, staging, folder, after=2)


def _with_paths(draft: ServerDraft, staging: Path, folder: Path, *, after: int = 1) -> ServerDraft:
    """The folders that a command names: the first may be written, the others read; `./NAME` is one of the project."""
    words = list(draft.command)
    seen: list[str] = []
    for at, word in enumerate(words[after:], start=after):
        path = Path(word)
        if word.startswith("-") or not word:
            continue
        if path.is_dir():
            place = path.resolve()
            home = folder.resolve()
            words[at] = f"./{place.relative_to(home).as_posix()}" if place.is_relative_to(home) else str(place)
            if place.is_relative_to(home):
                (staging / words[at]).mkdir(parents=True, exist_ok=True)
            seen.append(words[at])
        elif path.is_file():
            words[at] = str(path.resolve())
        elif word.startswith("./"):
            (staging / word).mkdir(parents=True, exist_ok=True)
            seen.append(word)
    if draft.trusted_because:
        return replace(draft, command=tuple(words))
    readable = (*draft.readable, *seen[1:])
    return replace(draft, command=tuple(words), readable=readable, writable=seen[0] if seen else "")


def _with_schema(kind: str, folder: str, text: str) -> bytes:
    return f"# yaml-language-server: $schema={folder}/{kind}.schema.json\n{text}".encode()


def _words(given: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(given))
    except ValueError as err:
        raise UsageError(f"The command {given!r} cannot be split into words: {err}.") from err
    if not words:
        raise UsageError("The command of the server is empty.", next_move='For example: --mcp "npx -y PACKAGE DIR"')
    return words


def _name_of(words: tuple[str, ...]) -> str:
    """`@modelcontextprotocol/server-filesystem` is `filesystem`, `python shop_server.py` is `shop`."""
    npx = npx_command(words)
    if npx is not None:
        text = npx.name
    elif words[0].startswith(("https://", "http://")):
        text = words[0].split("/")[2].split(":")[0].removesuffix(".com").rpartition(".")[2]
    else:
        text = next((word for word in reversed(words) if word.endswith((".py", ".js"))), words[0])
    plain = Path(text).stem if "." in text and npx is None else text.rpartition("/")[2]
    for part in ("mcp-server-", "server-", "mcp-"):
        plain = plain.removeprefix(part)
    for part in ("_server", "-server", "-mcp", "_mcp"):
        plain = plain.removesuffix(part)
    name = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in plain)
    if not name[:1].isalpha():
        raise UsageError(f"No name for the server can be made of {text!r}.", next_move="Give one: --name NAME")
    return name[:64]
