"""The tools that `servers` of the project file make: resources, prompts, and what a server may ask.

So all of them pass the door like any tool: a contract allows them by name, and each use is decided and recorded.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from leverframe.config.findings import Mark
from leverframe.config.sections import Section
from leverframe.config.tool_specs import LoadedTool
from leverframe.core import canonical
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import Sha256, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass, McpOrigin, McpPart, ToolSpec

_ASK_S = 600.0  # a person may be typing
_FETCH_S = 30.0


def server_tools(servers: Mapping[str, McpServer]) -> Sequence[LoadedTool]:
    """The tools of every server's own parts."""
    return [tool for server in servers.values() for tool in _of(server)]


def _of(server: McpServer) -> Sequence[LoadedTool]:
    found: list[LoadedTool] = []
    if server.resources:
        uri: JsonObject = {"type": "string", "pattern": _any_of(server.resources)}
        found.append(_tool(server, McpPart.RESOURCE, f"Read a resource of {server.name}.", {"uri": uri}, ("uri",)))
    if server.prompts:
        name: JsonObject = {"type": "string", "pattern": _any_of(server.prompts)}
        args: JsonObject = {"type": "object", "additionalProperties": {"type": "string"}}
        about = f"Fetch a prompt of {server.name}."
        found.append(_tool(server, McpPart.PROMPT, about, {"name": name, "arguments": args}, ("name",)))
    if server.resources or server.prompts:
        asked: JsonObject = {"ref": {"type": "object"}, "argument": {"type": "object"}, "context": {"type": "object"}}
        about = f"Ask {server.name} how an argument may go on."
        found.append(_tool(server, McpPart.COMPLETION, about, asked, ("ref", "argument")))
    for kind in sorted(server.may_ask):
        part = McpPart(kind)
        about = f"{server.name} asks the agent's side ({kind}), in the middle of a call."
        found.append(_tool(server, part, about, None, (), timeout_s=_ASK_S))
    return found


def _tool(
    server: McpServer,
    part: McpPart,
    about: str,
    properties: JsonObject | None,
    required: tuple[str, ...],
    *,
    timeout_s: float = _FETCH_S,
) -> LoadedTool:
    schema: dict[str, Json] = {"type": "object"}
    if properties is not None:
        schema |= {"properties": properties, "required": list(required), "additionalProperties": False}
    at = Mark(server.source.file, server.source.line)
    spec = ToolSpec(
        name=ToolName(f"{server.name}.{part.value}"),
        version=1,
        origin=McpOrigin(server=server.name, name=part.value, part=part),
        effect=EffectClass.READ,
        description=about,
        input_schema=schema,
        output_schema=None,
        schema_sha256=Sha256(sha256(canonical.encode({"input": schema, "output": None})).hexdigest()),
        source=server.source,
        args={"uri": ArgSpec(role=ArgRole.SELECTOR)} if part is McpPart.RESOURCE else {},
        timeout_s=timeout_s,
    )
    return LoadedTool(spec=spec, section=Section(at=at), at=at, files=(at.path,))


def _any_of(patterns: Sequence[str]) -> str:
    """One regular expression for patterns in which only `*` means something."""
    each = ("[^\\x00]*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns)
    return f"^(?:{'|'.join(each)})$"
