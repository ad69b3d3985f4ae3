"""What a run recorded, opened for showing: redacted values withheld, by key and by value.

Knows: that a value may have been sealed before it was learned to be redacted, so whatever leaves here was rewritten
with all that the run's redacted disclosures teach.  Never: hands out a redacted value, whoever asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverframe.core.canonical import encode
from leverframe.core.disclosures import Placeholders, open_, redact_json, redaction_from
from leverframe.core.redaction import Redaction, redaction_of
from leverframe.domain.evidence import Disclosure
from leverframe.domain.json import Json
from leverframe.domain.runs import Run
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """The disclosures of one run that are still kept, for a person's eyes.

    Equal redacted values look equal throughout: `[email withheld 1]`.
    """

    kept: Mapping[str, Disclosure]
    redaction: Redaction
    _numbers: Placeholders = field(default_factory=Placeholders)

    def has(self, digest: str) -> bool:
        """Whether the value is still kept."""
        return digest in self.kept

    def value(self, digest: str) -> Json:
        """A recorded value as it may be shown; None where it is not kept any more, or never was."""
        top = self.kept.get(digest)
        if top is None:
            return None
        # Under its own name, since that may be a redacted field as well.
        shown = self.json({top.name: open_(top, self.kept, {})})
        return next(iter(shown.values())) if isinstance(shown, Mapping) else None

    def fields(self, digest: str) -> Mapping[str, Json]:
        """The same where it is an object; empty for anything else."""
        value = self.value(digest)
        return value if isinstance(value, Mapping) else {}

    def json(self, value: Json) -> Json:
        """Any value of the run as it may be shown."""
        return redact_json(value, self.redaction, self._numbers)

    def text(self, words: str) -> str:
        """Any words of the run as they may be shown."""
        return str(self.json(words))


async def values_of(services: Services, run: Run) -> RunValues:
    """Read what a run disclosed, and learn from it what must not be shown."""
    disclosures = await services.evidence.disclosures_of_run(run.tenant, run.run_id)
    return RunValues(
        kept={one.digest: one for one in disclosures},
        redaction=redaction_from(declared_redaction(services, run), disclosures),
    )


def declared_redaction(services: Services, run: Run) -> Redaction:
    """The fields that the project's present contract of this workflow redacts, in any of its environments.

    What the run's own contract redacted as well is learned from what it sealed.
    """
    project = services.project
    contracts = [*project.environments.get(run.workflow, {}).values(), project.contracts.get(run.workflow)]
    return redaction_of(key for one in contracts if one is not None for key in one.logging.redact_fields)


def effect_sentence(spec: ToolSpec | None, tool: str, args: Mapping[str, Json]) -> str:
    """`Refund 120.00 on order #W1` from given values only; without a summary, the tool and its arguments."""
    values = {key: word(value) for key, value in args.items()}
    if spec is not None and spec.summary:
        return _filled(spec.summary, values)
    return f"{tool}({', '.join(f'{key}={value}' for key, value in values.items())})"


def word(value: Json) -> str:
    """A value on one line: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else encode(value).decode()


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Put values into `{name}` places; nothing in a value is read as a place again."""
    out: list[str] = []
    rest = template
    while True:
        before, brace, after = rest.partition("{")
        name, close, tail = after.partition("}")
        out.append(before)
        if not brace:
            return "".join(out)
        out.append(values.get(name, f"({name} not given)") if close else brace + after)
        if not close:
            return "".join(out)
        rest = tail
