"""The tools of the runtime itself, as a contract that asks for them gets them: `declare_plan`.

Knows: their schemas, which name the contract's own tools.  Never: lets a project's tool go by one of their names.
"""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Final

from leverframe.core import canonical
from leverframe.domain.contracts import Contract
from leverframe.domain.ids import Sha256, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.plans import DECLARE_PLAN, MOST_CALLS
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import BuiltInOrigin, EffectClass, ToolSpec

RESERVED: Final = frozenset({DECLARE_PLAN})

_PLAN = (
    "Say which tools this run needs and how often each at most, before you read anything. Other calls wait for it."
    " Later the plan can only shrink: what goes beyond it waits for a person."
)


def with_built_in(contract: Contract) -> Contract:
    """The contract with the tools of the runtime that it asks for; they are called like its own."""
    if contract.plan is None:
        return contract
    return replace(
        contract,
        tools={**contract.tools, DECLARE_PLAN: plan_tool(contract.callable_tools(), contract.plan)},
        allow_tools=(*contract.allow_tools, DECLARE_PLAN),
        allow_sources={**contract.allow_sources, DECLARE_PLAN: contract.plan},
    )


def plan_tool(tools: Iterable[ToolName], source: SourceRef) -> ToolSpec:
    """The tool that declares a plan over the tools that a contract lets be called."""
    count: JsonObject = {"type": "integer", "minimum": 0, "maximum": MOST_CALLS}
    counts: dict[str, Json] = {"type": "object", "additionalProperties": False}
    counts["properties"] = {str(name): count for name in tools}
    schema: JsonObject = {
        "type": "object",
        "additionalProperties": False,
        "required": ["tools"],
        "properties": {"tools": counts},
    }
    return ToolSpec(
        name=DECLARE_PLAN,
        version=1,
        origin=BuiltInOrigin(),
        effect=EffectClass.READ,
        description=_PLAN,
        input_schema=schema,
        output_schema=None,
        schema_sha256=Sha256(sha256(canonical.encode({"input": schema, "output": None})).hexdigest()),
        source=source,
        # What comes back is what was declared: it brings nothing new into the run.
        output_trust={"": Integrity.SYSTEM},
        output_confidentiality=Confidentiality.PUBLIC,
    )
