"""Conditions and paths of a contract: parsed and type-checked, with the place of each problem in the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leverframe.config.findings import Findings
from leverframe.config.tool_specs import LoadedTool
from leverframe.config.yaml_nodes import Scalar, place_in
from leverframe.core.conditions import (
    ANY,
    ConditionError,
    TypeScope,
    check,
    parse,
    run_type,
    type_of_schema,
    with_units,
)
from leverframe.core.conditions.schema_types import members, union_of
from leverframe.domain.conditions import Expr, MapType, Type
from leverframe.domain.ids import ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import ArgRole, ToolSpec

_FORM = "For example: args.amount_usd > facts.order.refundable_usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionReader:
    """Reads the conditions of one contract.

    `tools` are the tools that a call of this workflow can name; None where they cannot be seen.
    """

    tools: Mapping[ToolName, LoadedTool] | None
    facts: Mapping[str, Type]
    input_schema: JsonObject | None
    findings: Findings

    def read(self, scalar: Scalar, tools: Iterable[str]) -> Expr | None:
        """Parse and check one condition of a rule about these tools; none: about every tool."""
        try:
            expr = parse(scalar.text)
        except ConditionError as err:
            self.findings.error(place_in(scalar, err.offset), "bad-condition", err.message, err.next_move or _FORM)
            return None
        for problem in check(expr, self._scope(tuple(tools))):
            self.findings.error(place_in(scalar, problem.offset), "condition-type", _sentence(problem.message))
        return expr

    def _scope(self, tools: tuple[str, ...]) -> TypeScope:
        run = run_type(ANY if self.input_schema is None else type_of_schema(self.input_schema))
        facts = MapType(fields=self.facts)
        if self.tools is None:
            return TypeScope(args=dict.fromkeys(tools, ANY), tools=None, facts=facts, run=run)
        known = {name: arguments_type(tool.spec) for name, tool in self.tools.items()}
        args: dict[str, Type] = {name: known.get(ToolName(name), ANY) for name in tools}
        if not tools and known:
            # A rule about every tool may speak of an argument that only some of them have, but of no other.
            args = {"": _any_of(known.values())}
        return TypeScope(args=args, tools={str(name): each for name, each in known.items()}, facts=facts, run=run)


def arguments_type(spec: ToolSpec) -> Type:
    """The type of a tool's arguments, with the unit of each amount."""
    units = {
        name: f"{arg.currency or 'USD'} minor" if arg.unit == "minor" else arg.currency or "USD"
        for name, arg in spec.args.items()
        if arg.role is ArgRole.AMOUNT
    }
    return with_units(type_of_schema(spec.input_schema), units)


def _any_of(types: Iterable[Type]) -> Type:
    fields: dict[str, list[Type]] = {}
    for each in types:
        for member in members(each):
            if not isinstance(member, MapType) or member.extra is not None:
                return ANY
            for name, of_field in member.fields.items():
                fields.setdefault(name, []).append(of_field)
    return MapType(fields={name: union_of(found) for name, found in fields.items()})


def path_type(path: str, roots: Mapping[str, Type]) -> Type | None:
    """The type that a dotted path leads to; None where it leads to nothing that is known to be there."""
    root, *keys = path.split(".")
    found = roots.get(root)
    for key in keys:
        if found is None or found == ANY:
            return found
        inner = [
            ANY if not isinstance(each, MapType) else each.fields.get(key, each.extra)
            for each in members(found)
            if isinstance(each, MapType) or key.isdigit()
        ]
        kept = [each for each in inner if each is not None]
        found = union_of(kept) if kept else None
    return found


def known_below(path: str, roots: Mapping[str, Type]) -> tuple[str, ...]:
    """The paths that are known where `path` leads astray, for the nearest one."""
    root, *keys = path.split(".")
    if root not in roots:
        return tuple(roots)
    prefix = root
    for key in keys:
        found = path_type(prefix, roots)
        names = [name for each in members(found or ANY) if isinstance(each, MapType) for name in each.fields]
        if path_type(f"{prefix}.{key}", roots) is None:
            return tuple(f"{prefix}.{name}" for name in names)
        prefix = f"{prefix}.{key}"
    return ()


def _sentence(text: str) -> str:
    return text if text.startswith("`") else text[:1].upper() + text[1:]
