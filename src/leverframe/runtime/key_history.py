"""What the runs of a key have seen lately: a fresh run launders no label.

Knows: the tools that answered in runs of one key, and what those runs had themselves taken over.  Never: lowers.
Source: docs/labels.md, "What is sound and what is inferred".
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from leverframe.core.disclosures import open_
from leverframe.core.provenance import bringing
from leverframe.domain.authority import ApiKey
from leverframe.domain.evidence import Disclosure
from leverframe.domain.json import Json
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, Confidentiality
from leverframe.ports.live import KeyUse, LiveBook
from leverframe.runtime.context import RunContext
from leverframe.runtime.run_limits import is_of_a_key
from leverframe.runtime.services import Services

REMEMBERED: Final = timedelta(hours=24)


async def inherited(services: Services, book: LiveBook, key: ApiKey) -> Confidentiality:
    """The highest confidentiality of all that entered a run of this key in the last 24 hours.

    A tool that the project does not know any more may have shown a secret.
    """
    uses = await book.uses_of(key.principal, services.mint.now() - REMEMBERED)
    inputs = await services.evidence.inputs(key.tenant, sorted({one.run_id for one in uses})) if uses else {}
    taken_over = [_taken_over(one, inputs) for one in inputs.values() if not one.is_redacted]
    return max((*taken_over, *_shown(services, uses)), default=Confidentiality.PUBLIC)


async def bring_along(services: Services, book: LiveBook, ctx: RunContext) -> None:
    """Let a run of a key know what other runs of the key have seen since it was opened: it is one agent.

    Asked before each request that calls tools; never where no tool of the project is more secret than the run is.
    """
    union, project = ctx.values.union, services.project
    specs = (spec for each in project.environments.values() for one in each.values() for spec in one.tools.values())
    if not is_of_a_key(ctx.run) or all(spec.output_confidentiality <= union.confidentiality for spec in specs):
        return
    uses = await book.uses_of(ctx.run.initiator, services.mint.now() - REMEMBERED)
    seen = max(_shown(services, uses), default=Confidentiality.PUBLIC)
    ctx.values = bringing(ctx.values, ctx.opener, seen)


def _shown(services: Services, uses: Sequence[KeyUse]) -> list[Confidentiality]:
    found = []
    for one in uses:
        if not one.tool:
            continue
        contract = services.project.contract_in(one.workflow, one.environment)
        spec = None if contract is None else contract.tools.get(one.tool)
        found.append(Confidentiality.SECRET if spec is None else spec.output_confidentiality)
    return found


def _taken_over(top: Disclosure, inputs: Mapping[str, Disclosure]) -> Confidentiality:
    recorded: Json = open_(top, inputs, {})
    word = recorded.get("inherits") if isinstance(recorded, Mapping) else None
    return CONFIDENTIALITY_WORDS.get(str(word), Confidentiality.PUBLIC)
