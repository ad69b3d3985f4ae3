"""Where values may flow beside calls: who may read the input, whether a plan is declared, who reads the output."""

from dataclasses import dataclass

from leverframe.config.sections import Section
from leverframe.domain.audiences import Audience
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, Confidentiality
from leverframe.domain.policy import SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The keys as a contract has them; `plan` and `audience_source` are the lines that ask."""

    input_confidentiality: Confidentiality
    plan: SourceRef | None
    audience: Audience | None
    audience_source: SourceRef | None


def read_flow(section: Section) -> Flow:
    """Read `input_confidentiality`, `plan` and `audience`."""
    plan, audience = section.section("plan"), section.text("audience")
    return Flow(
        input_confidentiality=CONFIDENTIALITY_WORDS[section.text("input_confidentiality", "tenant")],
        plan=plan.place("declare").ref if plan.text("declare") == "true" else None,
        audience=Audience(audience) if audience else None,
        audience_source=section.place("audience").ref if audience else None,
    )
