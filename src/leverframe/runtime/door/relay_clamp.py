"""How long a relayed answer may become: what the client asked for, or what the budgets afford where it asked nothing.

Knows: that a call without a maximum must not set aside all that is left, or a burst of equal calls starves behind the
first; so none takes more than a ninth of a limit of money or a third of one of tokens, and the last one what is left.
A question that leaves less than a quarter of that ninth has half as much for its answer beside it, or it would be
answered in a few words while the money is there.
Below a useful length the call is asked at that length, and policy refuses it.  Never: decides.
"""

from typing import Final

import msgspec

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import ModelBound
from leverframe.domain.contracts import Contract, Enforce, ModelRef
from leverframe.domain.errors import ProviderUnavailable, WireRefused
from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import RelayCall
from leverframe.ports.acting import ModelRelay
from leverframe.runtime.door.relay_books import Books

# No model in use takes less as a maximum, so a client that gave none is not refused by its vendor for ours.
MOST_OUTPUT_TOKENS: Final = 4_096
USEFUL_OUTPUT_TOKENS: Final = 16
_SHARES_OF_MONEY: Final = 9
_SHARES_OF_TOKENS: Final = 3
_USEFUL_PART_OF_SHARE: Final = 4


class Clamped(msgspec.Struct, frozen=True, kw_only=True):
    """The worst case of a call; `injected` is the maximum that is written into it, None where it keeps its own.

    `is_fixed`: it is the same whatever is left of the budgets.
    """

    bound: ModelBound
    injected: int | None
    is_fixed: bool = True


def clamp(relays: ModelRelay, call: RelayCall, model: ModelRef, contract: Contract, books: Books) -> Clamped:
    """The longest answer that the call may ask for.

    Raises:
        ProviderUnavailable: the model has no known price.
        WireRefused: the limit of each step is fewer tokens than the call asks for answers.
    """
    if contract.enforce is Enforce.OBSERVE:
        return Clamped(bound=_observed_bound(relays, call, model), injected=None)
    if not call.wire.has_answer:
        return Clamped(bound=relays.bound(call, model, max_output_tokens=0), injected=None)
    per_step, own = _per_choice(contract.budget.per_step_output_tokens, call.choices), call.max_output_tokens
    if own is not None:
        most = own if per_step is None else min(own, per_step)
        return Clamped(bound=relays.bound(call, model, max_output_tokens=most), injected=most if most != own else None)
    ceiling = per_step or MOST_OUTPUT_TOKENS
    useful = max(call.min_output_tokens, min(USEFUL_OUTPUT_TOKENS, ceiling))
    ceiling = max(useful, min(ceiling, _tokens(books, call.choices)))
    bound = relays.bound(call, model, max_output_tokens=ceiling)
    if BudgetUnit.USD not in books.left:
        return Clamped(bound=bound, injected=ceiling, is_fixed=False)
    left, share = books.left[BudgetUnit.USD], books.limits[BudgetUnit.USD] // _SHARES_OF_MONEY
    if bound.cost <= min(left, share):
        return Clamped(bound=bound, injected=ceiling, is_fixed=False)
    floor = relays.bound(call, model, max_output_tokens=useful)
    # Where the ninth has a useful answer in it, nine fit at once: of more each, the last two of a burst would not pass.
    is_long = floor.cost > share - share // _USEFUL_PART_OF_SHARE
    money = min(left, floor.cost + share // 2 if is_long else share)
    if floor.cost > money or bound.cost == floor.cost:
        return Clamped(bound=floor, injected=useful, is_fixed=False)
    # The price is linear in the output.  Both are rounded up, so a micro-dollar less is asked for than is there.
    more = max(0, money - floor.cost - 1) * (ceiling - useful) // (bound.cost - floor.cost + 1)
    most = min(ceiling, useful + more)
    bound = relays.bound(call, model, max_output_tokens=most)
    return Clamped(bound=bound, injected=most, is_fixed=False)


def check_bounded(relays: ModelRelay, call: RelayCall, model: ModelRef, contract: Contract) -> None:
    """Raise what `clamp` would, were the contract enforced, whatever is left of the budgets."""
    if call.wire.has_answer:
        _per_choice(contract.budget.per_step_output_tokens, call.choices)
    relays.bound(call, model, max_output_tokens=MOST_OUTPUT_TOKENS if call.wire.has_answer else 0)


def _per_choice(per_step: int | None, choices: int) -> int | None:
    """The step's limit for each choice, since all of them are one call's output.  Raises WireRefused."""
    if per_step is None or per_step >= choices:
        return per_step if per_step is None else per_step // choices
    raise WireRefused(
        f"The call asks for {choices} answers, and its workflow lets a call write {per_step} tokens in all.",
        code="too_many_choices",
        param="n",
        next_move=f"Ask for {per_step} or fewer, or raise `budget.per_step.max_output_tokens` of the contract.",
    )


def _observed_bound(relays: ModelRelay, call: RelayCall, model: ModelRef) -> ModelBound:
    """The worst case of a call that is passed on as it is; without a price it counts its tokens alone."""
    most = 0 if not call.wire.has_answer else call.max_output_tokens or MOST_OUTPUT_TOKENS
    try:
        return relays.bound(call, model, max_output_tokens=most)
    except ProviderUnavailable:
        return ModelBound(input_tokens=call.input_bound, output_tokens=most * call.choices, cost=MicroUsd(0))


def _tokens(books: Books, choices: int) -> int:
    """The output tokens of one choice that every window of them takes."""
    if BudgetUnit.OUTPUT_TOKENS not in books.left:
        return MOST_OUTPUT_TOKENS
    share = books.limits[BudgetUnit.OUTPUT_TOKENS] // _SHARES_OF_TOKENS
    return min(books.left[BudgetUnit.OUTPUT_TOKENS], max(share, USEFUL_OUTPUT_TOKENS)) // max(1, choices)
