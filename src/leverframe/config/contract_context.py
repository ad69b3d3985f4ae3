"""`context`: what an agent is shown of untrusted text, and what a run's output may link to.

Knows: that switching hygiene off asks for a reason, and that only hidden text is extracted.
"""

from dataclasses import dataclass

from leverframe.config.schema_files import read_schema
from leverframe.config.sections import Section
from leverframe.config.surroundings import Surroundings
from leverframe.domain.context_rules import ContextRules, Untrusted
from leverframe.domain.json import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextDraft:
    """The rules, and the files that they were made of."""

    rules: ContextRules
    files: tuple[str, ...] = ()


def read_context(contract: Section, around: Surroundings) -> ContextDraft:
    """Read the section; what could not be kept is reported."""
    section = contract.section("context")
    untrusted = Untrusted(section.text("untrusted", Untrusted.PLAIN.value))
    because = section.text("because")
    is_off = section.text("hygiene") == "off"
    if is_off and not because:
        around.findings.error(
            section.place("hygiene"),
            "missing-key",
            "Hygiene is off, and the contract does not say why.",
            'Add to `context`, for example: because: "the agent compares files byte by byte"',
        )
    schemas = _extracted(section, around)
    if schemas and untrusted is not Untrusted.HIDE:
        around.findings.error(
            section.place("extract"),
            "key-without-effect",
            "`extract` reads hidden text, and this contract hides none.",
            "Write untrusted: hide, or delete `extract`.",
        )
    rules = ContextRules(
        untrusted=untrusted,
        is_cleaned=not is_off or not because,
        because=because,
        link_hosts=tuple(host.lower() for host in section.texts("link_hosts")),
        extract=schemas,
    )
    return ContextDraft(rules=rules, files=tuple(each.text for each in section.named_scalars("extract").values()))


def _extracted(section: Section, around: Surroundings) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for name, path in section.named_scalars("extract").items():
        schema = read_schema(path.text, path.at, around)
        if schema is None:
            continue
        properties = schema.get("properties")
        if schema.get("type") != "object" or not isinstance(properties, dict) or not properties:
            around.findings.error(
                path.at,
                "bad-schema",
                f"The schema of {name!r} declares no properties, so there is nothing to give the agent handles of.",
                "Write type: object, and properties with their types.",
            )
            continue
        found[name] = schema
    return found
