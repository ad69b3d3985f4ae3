"""The tools of the runtime itself, as a contract that asks for them gets them: `declare_plan` and `extract_NAME`.

Knows: their schemas, which name the contract's own tools.  Never: lets a project's tool go by one of their names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256

from leverframe.core import canonical
from leverframe.domain.audiences import GIVE_OUTPUT, Audience
from leverframe.domain.context_rules import ContextRules
from leverframe.domain.contracts import Contract
from leverframe.domain.ids import Sha256, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.plans import DECLARE_PLAN, MOST_CALLS
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import BuiltIn, BuiltInOrigin, EffectClass, ToolSpec

_PLAN = (
    "Say which tools this run needs and how often each at most, before you read anything. Other calls wait for it."
    " Later the plan can only shrink: what goes beyond it waits for a person."
)


_EXTRACT = "Have hidden text read for you, by a model that can do nothing else; `of` is the handle of the text."


def with_built_in(contract: Contract) -> Contract:
    """The contract with the tools of the runtime that it asks for; they are called like its own."""
    for name, schema in contract.context.extract.items():
        contract = _with(contract, _extracting(name, schema, contract.source))
    if contract.audience is not None:
        # No agent asks for it, so it is in no list.
        giving = _giving(contract.audience, contract.audience_source or contract.source)
        contract = replace(contract, tools={**contract.tools, giving.name: giving})
    if contract.plan is not None:
        contract = _with(contract, _planning(contract.callable_tools(), contract.plan))
    return contract


def built_in_names(context: ContextRules) -> frozenset[ToolName]:
    """The names that a project's tools may not have under such a contract."""
    return frozenset({DECLARE_PLAN, GIVE_OUTPUT, *(_name(each) for each in context.extract)})


def _with(contract: Contract, spec: ToolSpec) -> Contract:
    return replace(
        contract,
        tools={**contract.tools, spec.name: spec},
        allow_tools=(*contract.allow_tools, spec.name),
        allow_sources={**contract.allow_sources, spec.name: spec.source},
    )


def _planning(tools: Iterable[ToolName], source: SourceRef) -> ToolSpec:
    """Declare a plan over the tools that a contract lets be called."""
    count: JsonObject = {"type": "integer", "minimum": 0, "maximum": MOST_CALLS}
    counts: dict[str, Json] = {"type": "object", "additionalProperties": False}
    counts["properties"] = {str(name): count for name in tools}
    spec = _spec(DECLARE_PLAN, BuiltIn.PLAN, _PLAN, takes={"tools": counts}, gives=None, source=source)
    # What comes back is what was declared: it brings nothing new into the run.
    return replace(spec, output_trust={"": Integrity.SYSTEM}, output_confidentiality=Confidentiality.PUBLIC)


def _giving(audience: Audience, source: SourceRef) -> ToolSpec:
    """Give a run's output to whoever reads it."""
    about = f"Give the output of the run to its audience: {audience.value}."
    spec = _spec(GIVE_OUTPUT, BuiltIn.OUTPUT, about, takes={"output": {}}, gives=None, source=source)
    spec = replace(spec, output_trust={"": Integrity.SYSTEM}, output_confidentiality=Confidentiality.PUBLIC)
    return replace(spec, summary=f"Give to {audience.value}: {{output}}")


def _extracting(name: str, schema: JsonObject, source: SourceRef) -> ToolSpec:
    """Read values out of hidden text.  They are as third-party as the text, by default."""
    fields = schema.get("properties")
    named = ", ".join(fields) if isinstance(fields, Mapping) else ""
    about = f"{_EXTRACT} You get a handle for each of: {named}."
    return _spec(_name(name), BuiltIn.EXTRACT, about, takes={"of": {}}, gives=schema, source=source)


def _name(extraction: str) -> ToolName:
    return ToolName(f"extract_{extraction}")


def _spec(
    name: ToolName, kind: BuiltIn, about: str, *, takes: JsonObject, gives: JsonObject | None, source: SourceRef
) -> ToolSpec:
    schema: JsonObject = {
        "type": "object",
        "additionalProperties": False,
        "required": list(takes),
        "properties": takes,
    }
    return ToolSpec(
        name=name,
        version=1,
        origin=BuiltInOrigin(name=kind),
        effect=EffectClass.READ,
        description=about,
        input_schema=schema,
        output_schema=gives,
        schema_sha256=Sha256(sha256(canonical.encode({"input": schema, "output": gives})).hexdigest()),
        source=source,
    )
