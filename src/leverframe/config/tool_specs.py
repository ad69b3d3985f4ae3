"""Tool specs, `tools/NAME.yaml`, and what they share with the decorator of a Python tool: keys to a `ToolSpec`.

Knows: what belongs together (`keyed` needs a key, `reconcilable` a way to ask) and which arguments there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256

from leverframe.config.findings import Findings, Mark
from leverframe.config.lock_file import LOCK_FILE
from leverframe.config.project_files import python_origin
from leverframe.config.sections import Section
from leverframe.config.tool_rules import check_tool
from leverframe.core import canonical
from leverframe.domain.ids import EnvironmentName, Sha256, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS, Confidentiality, Integrity
from leverframe.domain.money import MicroUsd, micro_usd
from leverframe.domain.pins import ToolsLock
from leverframe.domain.tools import (
    ArgRole,
    ArgSpec,
    EffectClass,
    McpOrigin,
    OncePer,
    PythonOrigin,
    Reconcile,
    Retries,
    ToolLimits,
    ToolOrigin,
    ToolSpec,
)

_DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTool:
    """A tool with what `check` needs beyond its spec: where each key stands, and the files it was made of."""

    spec: ToolSpec
    section: Section
    at: Mark
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Where a tool is, and the schemas of its arguments and answer."""

    origin: ToolOrigin
    input_schema: JsonObject
    output_schema: JsonObject | None
    description: str = ""
    files: tuple[str, ...] = field(default=())


def tool_of(section: Section, at: Mark, shape: Shape, lock: ToolsLock, findings: Findings) -> LoadedTool:
    """Make a tool from its checked keys, its shape, and what a person said of it in `tools.lock`.

    The idempotency argument is taken out of the input schema: the door fills it in, and an agent cannot.
    """
    key = section.section("idempotency").text("argument")
    schema = _without(shape.input_schema, key)
    spec = ToolSpec(
        name=ToolName(section.text("tool")),
        version=section.whole("version") or 1,
        origin=shape.origin,
        effect=_effect(section, lock, findings),
        description=section.text("description") or shape.description,
        input_schema=schema,
        output_schema=shape.output_schema,
        schema_sha256=_schema_digest(schema, shape.output_schema),
        source=at.ref,
        args={name: _arg(each) for name, each in section.named_sections("args").items()},
        idempotency_argument=key,
        reconcile=_reconcile(section.section("reconcile")),
        once_per=_once_per(section.section("once_per")),
        cost=_cost(section),
        timeout_s=float(section.decimal("timeout_s") or _DEFAULT_TIMEOUT_S),
        retries=_retries(section.section("retries")),
        scopes=section.texts("scopes"),
        cache_s=float(section.decimal("cache_s") or 0),
        output_trust=_output_trust(section),
        output_confidentiality=_confidentiality(section),
        output_types={place: each.text for place, each in section.named_scalars("output_types").items()},
        endorse={place: each.text for place, each in section.named_scalars("endorse").items()},
        environments=frozenset(EnvironmentName(name) for name in section.texts("environments")),
        credential=section.text("credential"),
        summary=section.text("summary"),
        amount_fact=section.section("amount").text("usd"),
        broad_because=section.section("broad").text("because"),
    )
    check_tool(spec, section, at, findings)
    reconcile = spec.reconcile.done if spec.reconcile is not None else None
    is_locked = isinstance(spec.origin, McpOrigin) or spec.name in lock.effects or spec.name in lock.lost
    named = (reconcile.file,) if reconcile is not None else ()
    files = (at.path, *shape.files, *named, *((LOCK_FILE,) if is_locked and lock != ToolsLock() else ()))
    return LoadedTool(spec=spec, section=section, at=at, files=tuple(dict.fromkeys(files)))


def origin_function(section: Section) -> PythonOrigin | None:
    """The function that `from.python` names, if it does."""
    text = section.section("from").text("python")
    return python_origin(text) if text else None


def _effect(section: Section, lock: ToolsLock, findings: Findings) -> EffectClass:
    """The class that the file says, else the one that a person pinned, else the worst; a lost class stays lost."""
    name = ToolName(section.text("tool"))
    pinned = lock.effects.get(name)
    written = section.text("effect")
    if written and pinned is not None and pinned.effect.value != written:
        findings.error(
            section.place("effect"),
            "effect-differs",
            f"The file says `effect: {written}`, and {pinned.reviewed.by} pinned {pinned.effect.value} in {LOCK_FILE}.",
            f"Delete the key, or pin what it says: leverframe tools pin {name} --effect {written} --because TEXT",
        )
    claimed = EffectClass(written) if written else pinned.effect if pinned is not None else EffectClass.IRREVERSIBLE
    lost = lock.lost.get(name)
    if lost is None or lost.claimed is not claimed:
        return claimed
    findings.warning(
        section.place("effect"),
        "lost-its-class",
        f"{name!r} claims `effect: {claimed.value}` and failed its test ({lost.reviewed.because}): it counts as"
        " irreversible.",
        f"Test it again when it is mended: leverframe tools contract-test {name} --twice --environment NAME",
    )
    return EffectClass.IRREVERSIBLE


def _without(schema: JsonObject, name: str) -> JsonObject:
    properties, required = schema.get("properties"), schema.get("required")
    if not name or not isinstance(properties, Mapping) or name not in properties:
        return schema
    kept: dict[str, Json] = {**schema, "properties": {key: each for key, each in properties.items() if key != name}}
    if isinstance(required, list | tuple):
        kept["required"] = [each for each in required if each != name]
    return kept


def _schema_digest(input_schema: JsonObject, output_schema: JsonObject | None) -> Sha256:
    both: JsonObject = {"input": input_schema, "output": output_schema}
    return Sha256(sha256(canonical.encode(both)).hexdigest())


def _arg(section: Section) -> ArgSpec:
    role = section.text("role")
    return ArgSpec(
        role=ArgRole(role) if role else None,
        type=section.text("type"),
        accepts=INTEGRITY_WORDS[section.text("accepts", "user")],
        currency=section.text("currency"),
        unit=section.text("unit", "major"),
    )


def _reconcile(section: Section) -> Reconcile | None:
    if "tool" not in section:
        return None
    done = section.text("done")
    return Reconcile(
        tool=ToolName(section.text("tool")),
        args={name: each.text for name, each in section.named_scalars("args").items()},
        match={name: each.text for name, each in section.named_scalars("match").items()},
        done=python_origin(done) if done else None,
    )


def _once_per(section: Section) -> OncePer | None:
    within_s = section.span_s("within")
    keys = section.texts("keys")
    return OncePer(keys=keys, within_s=within_s) if keys and within_s is not None else None


def _cost(section: Section) -> MicroUsd:
    return micro_usd(section.decimal("cost_usd") or Decimal(0))


def _retries(section: Section) -> Retries:
    return Retries(max=section.whole("max") or 0, on=frozenset(section.texts("on")))


def limits_of(section: Section, standard: ToolLimits) -> ToolLimits:
    """The limits of a tool; what it does not say is the project's."""
    breaker = section.section("breaker")
    percent = section.section("retries").whole("percent")
    return ToolLimits(
        max_parallel=section.whole("max_parallel") or standard.max_parallel,
        breaker_failures=breaker.whole("failures") or standard.breaker_failures,
        breaker_rest_s=float(breaker.decimal("rest_s") or standard.breaker_rest_s),
        retry_percent=standard.retry_percent if percent is None else percent,
    )


def _output_trust(section: Section) -> Mapping[str, Integrity]:
    named = section.named_scalars("output_trust")
    return {("" if name == "default" else name): INTEGRITY_WORDS[each.text] for name, each in named.items()}


def _confidentiality(section: Section) -> Confidentiality:
    return CONFIDENTIALITY_WORDS[section.text("output_confidentiality", "tenant")]
