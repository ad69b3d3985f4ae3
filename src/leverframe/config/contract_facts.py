"""`facts` of a contract: what the door reads itself before it decides."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from leverframe.config.conditions import arguments_type, known_below, path_type
from leverframe.config.findings import Mark, did_you_mean
from leverframe.config.project_files import python_origin
from leverframe.config.sections import Section
from leverframe.config.surroundings import Surroundings
from leverframe.config.tool_rules import argument_names
from leverframe.config.tool_specs import LoadedTool
from leverframe.config.yaml_nodes import Scalar
from leverframe.core.conditions import ANY, run_type, type_of_schema
from leverframe.core.conditions.schema_types import union_of
from leverframe.domain.conditions import MapType, Type
from leverframe.domain.contracts import FactSpec, PythonFact, ToolFact
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Integrity


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of a contract, the type of each, and the Python files they are computed by."""

    specs: Mapping[str, FactSpec] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def read_facts(section: Section, callable_names: Iterable[str], around: Surroundings) -> Facts:
    """Read and check the facts; `callable_names` are the tools whose arguments `args.` may mean."""
    named = section.named_sections("facts")
    places = section.named("facts").places
    reader = _FactReader(around=around)
    for name, each in named.items():
        reader.read(name, each, places[name])
    roots = _roots(reader.types, callable_names, section.schema("input"), around)
    for name, each in named.items():
        _check_paths(name, each, roots, around)
    _check_circles(reader.specs, places, around)
    return Facts(specs=reader.specs, types=reader.types, files=tuple(reader.files))


@dataclass(slots=True)
class _FactReader:
    around: Surroundings
    specs: dict[str, FactSpec] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)

    def read(self, name: str, section: Section, at: Mark) -> None:
        self.types[name] = ANY
        has_tool, has_python = "tool" in section, "python" in section
        if has_tool == has_python:
            self.around.findings.error(
                at,
                "bad-fact",
                f"The fact {name!r} must be answered by either a tool or a Python function.",
                "For example: {tool: lookup_order, args: {order_id: args.order_id}}",
            )
        elif has_tool:
            self._tool_fact(name, section, at)
        else:
            self._python_fact(name, section, at)
        for key, needs in (("args", "tool"), ("of", "python")):
            if key in section and needs not in section:
                self.around.findings.error(
                    section.place(key), "key-without-effect", f"`{key}` goes with `{needs}`.", f"Delete `{key}`."
                )

    def _tool_fact(self, name: str, section: Section, at: Mark) -> None:
        args = section.named_scalars("args")
        tool = section.text("tool")
        self.specs[name] = ToolFact(
            name=name, tool=ToolName(tool), args={key: each.text for key, each in args.items()}, source=at.ref
        )
        found = self.around.tool(tool, section.place("tool"))
        if found is None:
            return
        if found.spec.output_schema is not None:
            self.types[name] = type_of_schema(found.spec.output_schema)
        self._check_tool(name, found, section)
        check_arguments(found, args, section, self.around)

    def _check_tool(self, name: str, tool: LoadedTool, section: Section) -> None:
        spec = tool.spec
        if spec.effect.is_write:
            self.around.findings.error(
                section.place("tool"),
                "fact-writes",
                f"The fact {name!r} is read before every decision, and {spec.name!r} is `effect: {spec.effect.value}`.",
                "Name a tool with effect: read.",
            )
        if spec.output_trust.get("", Integrity.THIRD_PARTY) < Integrity.TENANT_RECORD:
            self.around.findings.error(
                section.place("tool"),
                "fact-untrusted",
                f"The fact {name!r} is decided upon, and answers of {spec.name!r} are third-party text.",
                f"Where they are your own records, say so at {tool.at.ref}: output_trust: {{default: tenant-record}}",
            )

    def _python_fact(self, name: str, section: Section, at: Mark) -> None:
        of = section.scalars("of")
        origin = python_origin(section.text("python"))
        self.specs[name] = PythonFact(name=name, function=origin, of=tuple(each.text for each in of), source=at.ref)
        shape = self.around.sources.shape(origin, section.place("python"))
        if shape is None:
            return
        self.files[origin.file] = None
        self.types[name] = shape.returns
        if not shape.takes_least <= len(of) <= shape.takes_most:
            self.around.findings.error(
                section.place("of") if "of" in section else at,
                "wrong-arity",
                f"{origin.function!r} takes {shape.takes_least} values ({shape.at.ref}), and `of` names {len(of)}.",
            )


def check_arguments(tool: LoadedTool, args: Mapping[str, Scalar], section: Section, around: Surroundings) -> None:
    """Check that the arguments which a contract gives to a tool are those that the tool has and needs."""
    known = argument_names(tool.spec)
    if known is None:
        return
    places = section.named("args").places
    for name in args:
        if name not in known:
            around.findings.error(
                places[name],
                "unknown-argument",
                f"{tool.spec.name!r} has no argument {name!r}.",
                did_you_mean(name, known),
            )
    required: Json = tool.spec.input_schema.get("required")
    for name in required if isinstance(required, list | tuple) else ():
        if name not in args:
            around.findings.error(
                section.place("args") if "args" in section else section.at,
                "missing-argument",
                f"{tool.spec.name!r} needs the argument {name!r}.",
                f"For example: args: {{{name}: args.{name}}}",
            )


def _roots(
    facts: Mapping[str, Type], names: Iterable[str], input_schema: JsonObject | None, around: Surroundings
) -> dict[str, Type]:
    given = ANY if input_schema is None else type_of_schema(input_schema)
    return {
        "args": _all_arguments(names, around),
        "facts": MapType(fields=facts),
        "input": given,
        "run": run_type(given),
    }


def _all_arguments(names: Iterable[str], around: Surroundings) -> Type:
    """What `args.` may mean: the arguments of any tool that the workflow can call."""
    fields: dict[str, list[Type]] = {}
    for name in names:
        tool = None if around.tools is None else around.tools.get(ToolName(name))
        each = ANY if tool is None else arguments_type(tool.spec)
        if not isinstance(each, MapType) or each.extra is not None:
            return ANY
        for field_name, of_field in each.fields.items():
            fields.setdefault(field_name, []).append(of_field)
    return MapType(fields={name: union_of(found) for name, found in fields.items()})


def _check_paths(name: str, section: Section, roots: Mapping[str, Type], around: Surroundings) -> None:
    for each in (*section.named_scalars("args").values(), *section.scalars("of")):
        if path_type(each.text, roots) is None:
            around.findings.error(
                each.at,
                "unknown-path",
                f"The fact {name!r} reads {each.text!r}, which leads to nothing.",
                did_you_mean(each.text, known_below(each.text, roots)),
            )


def _check_circles(specs: Mapping[str, FactSpec], places: Mapping[str, Mark], around: Surroundings) -> None:
    for name in specs:
        circle = _circle(name, specs)
        if circle:
            around.findings.error(
                places[name],
                "fact-circle",
                f"The fact {name!r} rests on itself: {' -> '.join(circle)}.",
                "A fact may rest only on facts that do not rest on it.",
            )


def _circle(start: str, specs: Mapping[str, FactSpec]) -> tuple[str, ...]:
    """The way from a fact back to itself; empty where there is none."""
    waiting: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        for other in _rests_on(specs.get(way[-1])):
            if other == start:
                return (*way, start)
            if other not in seen:
                seen.add(other)
                waiting.append((*way, other))
    return ()


def _rests_on(spec: FactSpec | None) -> Iterator[str]:
    texts: Iterable[str] = ()
    if isinstance(spec, ToolFact):
        texts = spec.args.values()
    elif isinstance(spec, PythonFact):
        texts = spec.of
    yield from (text.split(".")[1] for text in texts if text.startswith("facts."))
