"""Thresholds: whether a call moves an amount of dollars at or above a limit.

Knows: where a tool's amounts stand (an argument of role amount, or the fact that its spec names).
Never: compares another currency as if it were dollars, nor rounds: what cannot be compared is unknown, and is held.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeGuard

from leverframe.core.conditions import ConditionEnv
from leverframe.core.policy.wording import shown
from leverframe.domain.conditions import Truth
from leverframe.domain.tools import ArgRole, ToolSpec

_MINOR_DIGITS = 2  # cents in a dollar


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountPlace:
    """One place where a tool's amount stands, and the limit in the unit that it is written in."""

    path: str  # "args.amount_usd", "facts.refund_value"
    keys: tuple[str, ...]
    limit: Decimal
    is_minor: bool = False
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The amounts of one tool against one limit.

    True where any amount is at or above it, else unknown where any is absent, no number or no dollars, else false.
    A tool with no place for an amount is always unknown.
    """

    limit_usd: Decimal
    places: tuple[AmountPlace, ...]

    def test(self, env: ConditionEnv) -> Truth:
        """Compare every amount of a call."""
        truth: Truth = False if self.places else None
        for place in self.places:
            at_or_above = _compare(place, env)
            if at_or_above:
                return True
            if at_or_above is None:
                truth = None
        return truth

    def text(self, env: ConditionEnv) -> str:
        """What each amount is, for a person."""
        told = "; ".join(_told(place, env) for place in self.places) or "the tool names no amount"
        return f"{told}; the threshold is ${self.limit_usd:f}"


def threshold_of(spec: ToolSpec, limit_usd: Decimal) -> Threshold:
    """Prepare a threshold for a tool: every argument of role amount, and the fact of `amount_fact`, is judged."""
    places = [
        AmountPlace(
            path=f"args.{name}",
            keys=(name,),
            limit=_shifted(limit_usd, _MINOR_DIGITS) if arg.unit == "minor" else limit_usd,
            is_minor=arg.unit == "minor",
            currency=arg.currency or "USD",
        )
        for name, arg in spec.args.items()
        if arg.role is ArgRole.AMOUNT
    ]
    if spec.amount_fact:
        keys = tuple(spec.amount_fact.removeprefix("facts.").split("."))
        places.append(AmountPlace(path=f"facts.{'.'.join(keys)}", keys=keys, limit=limit_usd))
    return Threshold(limit_usd=limit_usd, places=tuple(places))


def always(truth: Truth) -> Callable[[ConditionEnv], Truth]:
    """A test that answers the same for every call."""
    return lambda _env: truth


def _compare(place: AmountPlace, env: ConditionEnv) -> Truth:
    amount = _amount(place, env)
    if place.currency != "USD" or not _is_amount(amount):
        return None
    return amount >= place.limit


def _amount(place: AmountPlace, env: ConditionEnv) -> object:
    node: object = env.facts if place.path.startswith("facts.") else env.args
    for key in place.keys:
        try:
            node = node[key]  # type: ignore[index]  # any JSON value; what has no such key is caught below
        except (KeyError, TypeError, IndexError):
            return None
    return node


def _is_amount(value: object) -> TypeGuard[int | Decimal]:
    return type(value) is int or (type(value) is Decimal and value.is_finite())


def _told(place: AmountPlace, env: ConditionEnv) -> str:
    amount = _amount(place, env)
    if amount is None:
        return f"{place.path} is not there"
    if not _is_amount(amount):
        return f"{place.path} is {shown(amount)}, which is no amount"
    if place.currency != "USD":
        return f"{place.path} is {shown(amount)} {place.currency}, which is never compared with dollars"
    return f"{place.path} is {shown(amount)}{' cents' if place.is_minor else ''}"


def _shifted(value: Decimal, digits: int) -> Decimal:
    """Move the decimal point exactly; arithmetic would round to the context's precision."""
    sign, numerals, exponent = value.as_tuple()
    return Decimal((sign, numerals, int(exponent) + digits))
