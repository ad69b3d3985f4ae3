"""The tools of a project: every `tools/*.yaml` and every decorated function of `tools/*.py`."""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.project_files import ProjectFiles
from leverframe.config.python_source import PythonSources
from leverframe.config.sections import Section, check_file
from leverframe.config.server_tools import server_tools
from leverframe.config.signatures import SignatureProblem, input_schema, output_schema
from leverframe.config.tool_specs import LoadedTool, Shape, limits_of, origin_function, tool_of
from leverframe.config.yaml_nodes import Entry, Items, Node, Scalar, Table
from leverframe.core.pins import known_closed, reached_by
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import QUARANTINED, ToolsLock
from leverframe.domain.tools import McpOrigin, PythonOrigin, ToolLimits
from leverframe.sdk.tool import TOOL_ATTRIBUTE, ToolDeclaration

_CREDENTIAL_PARAMETER = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFiles:
    """Reads the tools of one project."""

    files: ProjectFiles
    sources: PythonSources
    servers: Mapping[str, McpServer]
    findings: Findings
    lock: ToolsLock = ToolsLock()
    has_tenants: bool = False  # more than one
    limits: ToolLimits = ToolLimits()  # the project's, for what a tool does not say

    def read(self) -> Mapping[ToolName, LoadedTool]:
        """Every tool by name; of two with one name the first is kept and the second reported."""
        tools: dict[ToolName, LoadedTool] = {}
        for name in self.files.names("tools", ".yaml", ".yml"):
            self._keep(self._yaml_tool(name), tools)
        for name in self.files.names("tools", ".py"):
            for found in self._python_tools(name):
                self._keep(found, tools)
        for made in server_tools(self.servers):
            self._keep(made, tools)
        for tool in tools.values():
            self._check_reconcile(tool, tools)
            self._check_pin(tool)
        return tools

    def _keep(self, tool: LoadedTool | None, tools: dict[ToolName, LoadedTool]) -> None:
        if tool is None:
            return
        tool = replace(tool, spec=replace(tool.spec, limits=limits_of(tool.section, self.limits)))
        first = tools.setdefault(tool.spec.name, tool)
        if first is not tool:
            self.findings.error(
                tool.at,
                "duplicate-tool",
                f"The tool {tool.spec.name!r} is already declared at {first.at.ref}.",
                "Give one of them another name.",
            )

    def _yaml_tool(self, name: str) -> LoadedTool | None:
        node = self.files.yaml(name, self.findings)
        section = None if node is None else check_file(node, "tool", self.findings, needs=("tool", "from"))
        if section is None or "tool" not in section or "from" not in section:
            return None
        at = section.place("tool")
        python, mcp = origin_function(section), section.section("from").text("mcp")
        if (python is None) == (not mcp):
            self.findings.error(
                section.place("from"),
                "bad-origin",
                f"The tool {section.text('tool')!r} must come from one place.",
                "Write from: {python: tools/shop.py:FUNCTION} or from: {mcp: SERVER, name: TOOL}",
            )
            return None
        shape = self._mcp_shape(section, mcp, at) if python is None else self._python_shape(section, python)
        return None if shape is None else tool_of(section, at, shape, self.lock, self.findings)

    def _mcp_shape(self, section: Section, server: str, at: Mark) -> Shape | None:
        if server not in self.servers:
            self.findings.error(
                section.section("from").place("mcp"),
                "unknown-server",
                f"The server {server!r} is not in `servers` of leverframe.yaml.",
                did_you_mean(server, self.servers),
            )
        self._check_credential(section, server)
        self._check_cache(section, server)
        schema = section.schema("input")
        if schema is None:
            self.findings.error(
                at,
                "missing-key",
                f"The tool {section.text('tool')!r} has no usable `input`, the schema of its arguments.",
                "For example: input: {type: object, additionalProperties: false, properties: {...}}",
            )
            return None
        origin = McpOrigin(server=server, name=section.section("from").text("name") or section.text("tool"))
        return Shape(origin=origin, input_schema=schema, output_schema=section.schema("output"))

    def _check_cache(self, section: Section, name: str) -> None:
        server = self.servers.get(name)
        if "cache_s" in section and server is not None and server.may_ask:
            self.findings.error(
                section.place("cache_s"),
                "cache-of-asking",
                f"The server {name!r} may ask in the middle of a call, so its answer is of whoever was asked.",
                "Delete `cache_s`, or `may_ask` of the server.",
            )

    def _check_credential(self, section: Section, name: str) -> None:
        """A tool's own credential, sent in place of its server's: to the same host, for the tenant of the call."""
        server = self.servers.get(name)
        if server is None or "credential" not in section:
            return
        if not server.url:
            self.findings.error(
                section.place("credential"),
                "key-without-effect",
                f"The server {name!r} is a process, which has one environment for all of its tools.",
                f"Delete it, and write env: {{NAME: {section.text('credential')}}} for the server.",
            )
        elif "{tenant}" not in section.text("credential") and self.has_tenants and not server.shared_because:
            self.findings.error(
                section.place("credential"),
                "shared-credential",
                f"All tenants of the project would use one credential of the server {name!r}.",
                'Write {tenant} into it, or say why at the server: shared_credential: {because: "..."}',
            )

    def _python_shape(self, section: Section, origin: PythonOrigin) -> Shape | None:
        at = section.section("from").place("python")
        if "name" in section.section("from"):
            self.findings.error(
                section.section("from").place("name"),
                "key-without-effect",
                "`from.name` is the tool's name at an MCP server, and this tool is a Python function.",
                "Delete it.",
            )
        function = self.sources.function(origin, at)
        if function is None:
            return None
        schemas = self._schemas(function, section, at)
        if schemas is None:
            return None
        given, answer = section.schema("input") or schemas[0], section.schema("output") or schemas[1]
        return Shape(
            origin=origin,
            input_schema=given,
            output_schema=answer,
            description=_first_paragraph(function),
            files=(origin.file,),
        )

    def _python_tools(self, file: str) -> tuple[LoadedTool, ...]:
        module = self.sources.module(file, Mark(file))
        if module is None:
            return ()
        found = []
        for name, function in vars(module).items():
            declaration = getattr(function, TOOL_ATTRIBUTE, None)
            if isinstance(declaration, ToolDeclaration) and getattr(function, "__module__", "") == module.__name__:
                found.append(self._python_tool(file, name, function, declaration))
        return tuple(tool for tool in found if tool is not None)

    def _python_tool(
        self, file: str, name: str, function: Callable[..., object], declaration: ToolDeclaration
    ) -> LoadedTool | None:
        places = _DecoratorPlaces.of(self.sources.tree(file, Mark(file)), file, name)
        entries = tuple(
            Entry(key=key, key_at=places.at(key), value=_node(value, places.at(key)))
            for key, value in declaration.keys.items()
        )
        table = Table(entries=entries, at=places.whole)
        section = check_file(table, "tool", self.findings, needs=("tool",))
        if section is None or "tool" not in section:
            return None
        schemas = self._schemas(function, section, places.whole)
        if schemas is None:
            return None
        shape = Shape(
            origin=PythonOrigin(file=file, function=name),
            input_schema=schemas[0],
            output_schema=schemas[1],
            description=_first_paragraph(function),
        )
        return tool_of(section, places.whole, shape, self.lock, self.findings)

    def _schemas(
        self, function: Callable[..., object], section: Section, at: Mark
    ) -> tuple[JsonObject, JsonObject | None] | None:
        key = section.section("idempotency").text("argument")
        parameters = inspect.signature(function).parameters
        if key and key not in parameters:
            self.findings.error(
                section.place("idempotency"),
                "unknown-argument",
                f"{section.text('tool')!r} has no parameter {key!r} to carry the idempotency key.",
                did_you_mean(key, parameters),
            )
        hidden = {key} | ({_CREDENTIAL_PARAMETER} if "credential" in section else set())
        try:
            return input_schema(function, hidden=frozenset(hidden)), output_schema(function)
        except SignatureProblem as err:
            self.findings.error(at, "bad-signature", f"The tool {section.text('tool')!r} has no schema: {err}.")
            return None

    def _check_pin(self, tool: LoadedTool) -> None:
        """Say which tools of servers no call reaches, as far as the lock alone tells."""
        origin = tool.spec.origin
        if not isinstance(origin, McpOrigin) or origin.server not in self.servers:
            return
        found = known_closed(self.lock, origin, reached_by(self.servers[origin.server]))
        if found is None:
            return
        if found.slug == QUARANTINED:
            move = "Look at it and pin it: leverframe tools pin"
            self.findings.warning(tool.at, "tool-quarantined", f"{found.message} Its calls are refused.", move)
        else:
            move = "See what changed, then pin it: leverframe tools diff"
            self.findings.warning(tool.at, "tool-drifted", f"{found.message} Its calls are refused.", move)

    def _check_reconcile(self, tool: LoadedTool, tools: Mapping[ToolName, LoadedTool]) -> None:
        reconcile = tool.spec.reconcile
        if reconcile is None:
            return
        place = tool.section.section("reconcile").place("tool")
        asked = tools.get(reconcile.tool)
        if asked is None:
            self.findings.error(
                place, "unknown-tool", f"There is no tool {reconcile.tool!r}.", did_you_mean(reconcile.tool, tools)
            )
        elif asked.spec.effect.is_write:
            self.findings.error(
                place,
                "reconcile-writes",
                f"{reconcile.tool!r} is `effect: {asked.spec.effect.value}`, and asking must change nothing.",
                "Name a tool with effect: read.",
            )
        if reconcile.done is not None:
            self.sources.shape(reconcile.done, tool.section.section("reconcile").place("done"))


@dataclass(frozen=True, slots=True)
class _DecoratorPlaces:
    """Where the keywords of one decorator stand."""

    whole: Mark
    keywords: Mapping[str, Mark]

    @classmethod
    def of(cls, tree: ast.Module | None, file: str, function: str) -> "_DecoratorPlaces":
        nodes = tree.body if tree is not None else []
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
                calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
                keywords = {
                    word.arg: Mark(file, word.lineno, word.col_offset + 1)
                    for call in calls
                    for word in call.keywords
                    if word.arg
                }
                return cls(Mark(file, node.lineno, node.col_offset + 1), keywords)
        return cls(Mark(file), {})

    def at(self, key: str) -> Mark:
        """The place of a key of the spec; some have another name in the decorator."""
        return self.keywords.get({"tool": "name", "amount": "amount_usd"}.get(key, key), self.whole)


def _first_paragraph(function: Callable[..., object]) -> str:
    text = inspect.getdoc(function) or ""
    return " ".join(text.split("\n\n")[0].split())


def _node(value: object, at: Mark) -> Node:
    """A value of a decorator as the YAML it stands for; a float literal is the decimal that was written."""
    match value:
        case Mapping():
            entries = (Entry(key=str(key), key_at=at, value=_node(each, at)) for key, each in value.items())
            return Table(entries=tuple(entries), at=at)
        case list() | tuple() | set() | frozenset():
            return Items(items=tuple(_node(each, at) for each in value), at=at)
        case bool():
            return Scalar(value=value, text=str(value).lower(), source=str(value), at=at)
        case float():
            exact = Decimal(str(value))
            return Scalar(value=exact, text=str(value), source=str(value), at=at)
        case int() | Decimal() | str():
            return Scalar(value=value, text=str(value), source=repr(value), at=at)
        case _:
            return Scalar(value=str(value), text=str(value), source=repr(value), at=at)
