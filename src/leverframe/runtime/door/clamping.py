"""A model request with its worst case, made to fit what every window has left.

Knows: that tokens and money bound the length of an answer, and below which length an answer is of no use.
Never: decides; a request that does not fit although it was clamped is refused by `core.policy`.
"""

from dataclasses import dataclass, replace

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.calls import Message, ModelBound, ModelRequest, OfferedTool
from leverframe.domain.contracts import ModelRef
from leverframe.domain.ids import StepPath
from leverframe.domain.json import JsonObject
from leverframe.ports.acting import ModelCaller
from leverframe.runtime.context import RunContext

DEFAULT_OUTPUT_TOKENS = 1024
USEFUL_OUTPUT_TOKENS = 16  # below this an answer is not worth its price: refuse instead of clamping further
_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the loop asks for, before it is clamped and sent to one candidate."""

    path: StepPath
    messages: tuple[Message, ...]
    tools: tuple[OfferedTool, ...]
    output_schema: JsonObject | None
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request with its worst case."""

    request: ModelRequest
    bound: ModelBound


def clamped(
    models: ModelCaller, ctx: RunContext, model: ModelRef, wanted: Wanted, windows: tuple[Window, ...]
) -> Asked:
    """The request with as many output tokens as tokens and money afford, never below what is useful."""
    left: dict[BudgetUnit, int] = {}
    for window in windows:
        left[window.unit] = min(window.left, left.get(window.unit, window.left))
    ceiling = ctx.contract.budget.per_step_output_tokens or DEFAULT_OUTPUT_TOKENS
    useful = min(USEFUL_OUTPUT_TOKENS, ceiling)
    tokens = max(useful, min(ceiling, left.get(BudgetUnit.OUTPUT_TOKENS, ceiling)))
    wall_s = left.get(BudgetUnit.WALL_US, int(_DEADLINE_S * 1_000_000)) / 1_000_000
    request = ModelRequest(
        call_id=ctx.services.mint.call_id(),
        tenant=ctx.run.tenant,
        model=model,
        messages=wanted.messages,
        max_output_tokens=tokens,
        deadline_s=max(0.05, min(_DEADLINE_S, wall_s)),
        tools=wanted.tools,
        output_schema=wanted.output_schema,
        hints={"workflow": ctx.run.workflow, "step": wanted.path},
    )
    bound = models.bound(request)
    money = left.get(BudgetUnit.USD)
    if money is None or bound.cost <= money:
        return Asked(request=request, bound=bound)
    floor = replace(request, max_output_tokens=useful)
    floor_bound = models.bound(floor)
    if floor_bound.cost > money or bound.cost == floor_bound.cost:
        return Asked(request=floor, bound=floor_bound)
    # The price is linear in the output, so the largest affordable answer is found without asking again and again.
    # Both prices are rounded up, so a micro-dollar less is asked for than is there.
    spread = bound.cost - floor_bound.cost
    share = max(0, money - floor_bound.cost - 1) * (tokens - useful) // (spread + 1)
    affordable = replace(request, max_output_tokens=useful + share)
    return Asked(request=affordable, bound=models.bound(affordable))
