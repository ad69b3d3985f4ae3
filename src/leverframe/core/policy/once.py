"""The business act that a call does, for `once_per`: the same act in other words is the same act.

Knows: which arguments and facts name it, in their normal form.  Never: remembers one; the store does.
"""

from collections.abc import Mapping

from leverframe.core.token_types import normal_value
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import Fact, Known
from leverframe.domain.tools import ToolSpec

_FACTS = "facts."


def once_per_values(spec: ToolSpec, args: JsonObject, facts: Mapping[str, Fact]) -> dict[str, Json] | None:
    """The values that name the act of a call, by the keys of `once_per`; an absent argument is null.

    A key is an argument's name or the path of a fact (`facts.order.payment_id`).  None where a fact is not known, or
    the tool has no `once_per`: an act that cannot be named cannot be found again, and so is unknown.
    """
    if spec.once_per is None:
        return None
    values: dict[str, Json] = {}
    for key in spec.once_per.keys:
        if not key.startswith(_FACTS):
            values[key] = normal_value(spec.type_of(key), args.get(key))
            continue
        value = _fact_value(key, facts)
        if value is None:
            return None
        values[key] = normal_value(key.rsplit(".", 1)[-1], value)
    return values


def once_per_facts(spec: ToolSpec) -> frozenset[str]:
    """The facts that name the act."""
    keys = () if spec.once_per is None else spec.once_per.keys
    return frozenset(key.split(".")[1] for key in keys if key.startswith(_FACTS))


def _fact_value(path: str, facts: Mapping[str, Fact]) -> Json:
    _, name, *keys = path.split(".")
    fact = facts.get(name)
    # A fact is JSON by construction: a tool's parsed answer, or the plain value of a project's function.
    node: Json = fact.value if isinstance(fact, Known) else None  # type: ignore[assignment]
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
