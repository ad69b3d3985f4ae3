"""`policy.provenance`: what a contract says of the default rules on where values come from.

Knows: that loosening one asks for a reason, and that an overlay may only tighten.
"""

from dataclasses import replace

from leverframe.config.findings import Findings
from leverframe.config.sections import Section
from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules
from leverframe.domain.policy import Then

_OFF = "off"
_STRICTER = {None: 0, Then.HOLD: 1, Then.DENY: 2}


def read_provenance(policy: Section, findings: Findings) -> ProvenanceRules:
    """Read the section; a rule that is switched off without a reason is reported and stays as it is by default."""
    section = policy.section("provenance")
    because = section.text("because")
    written: dict[Provenance, ProvenanceRule] = {}
    for name in Provenance:
        if name not in section:
            continue
        word, at = section.text(name), section.place(name)
        if word == _OFF and not because:
            findings.error(
                at,
                "missing-key",
                f"The default rule {name.value!r} is off, and the contract does not say why.",
                'Add to `provenance`, for example: because: "the desk writes to its own queue only"',
            )
            continue
        written[name] = ProvenanceRule(then=None if word == _OFF else Then(word), source=at.ref)
    return ProvenanceRules(written=written, because=because)


def meet_provenance(base: ProvenanceRules, overlay: ProvenanceRules) -> ProvenanceRules:
    """The stricter of each rule that the overlay writes; one that it does not write stays."""
    tightened = {
        name: new for name, new in overlay.written.items() if _STRICTER[new.then] > _STRICTER[base.of(name).then]
    }
    return replace(base, written={**base.written, **tightened})


def loosened(base: ProvenanceRules, overlay: ProvenanceRules) -> tuple[Provenance, ...]:
    """The rules that an overlay would loosen."""
    return tuple(name for name, new in overlay.written.items() if _STRICTER[new.then] < _STRICTER[base.of(name).then])
