"""Costs as integers, amounts as exact decimals.

Knows: micro-dollars (1_000_000 = one US dollar) and how a person reads and writes them.
Never: uses a float.  A tool's own amounts are exact decimals with a currency and are never summed with costs.
"""

from decimal import ROUND_CEILING, Decimal
from typing import NewType

MicroUsd = NewType("MicroUsd", int)

MICRO = 1_000_000
# Prices are kept in pico-dollars a token, so that no fraction is lost before the one rounding of a call.
PICO_PER_MICRO = 1_000_000
_MICRO_DIGITS = 6
_LARGEST = 2**62 // MICRO  # dollars whose millionths a signed 64-bit integer holds with room to spare


def micro_usd(usd: Decimal) -> MicroUsd:
    """Turn dollars into micro-dollars, rounding up: what is reserved is never less than what is owed.

    Raises:
        ValueError: `usd` is negative or not finite, which no limit and no cost can be.
    """
    if not usd.is_finite() or usd < 0:
        msg = f"An amount of money is a finite number of dollars, zero or more, got {usd!r}"
        raise ValueError(msg)
    return MicroUsd(int((usd * MICRO).to_integral_value(rounding=ROUND_CEILING)))


def usd_text(amount: int) -> str:
    """Write micro-dollars for a person: four decimals below a dollar's cent, two above ("$0.0132", "$63,272.36")."""
    sign = "-" if amount < 0 else ""
    dollars = Decimal(abs(amount)) / MICRO
    places = 2 if dollars >= 1 and abs(amount) % 10_000 == 0 else 4
    return f"{sign}${dollars:,.{places}f}"


def scaled_amount(value: object) -> int | None:
    """An exact amount in millionths, or None where it is no number or has more than six decimals.

    The store sums amounts as integers; a value that would lose a digit is unknown, never rounded.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value).copy_abs()
    if not amount.is_finite() or amount >= _LARGEST:
        return None
    # On the digits, since arithmetic would round to a context's precision.
    _, digits, exponent = amount.as_tuple()
    whole, shift = int("".join(map(str, digits))), int(exponent) + _MICRO_DIGITS
    if not whole:
        return 0
    if shift < -len(digits):
        return None
    power = int(10 ** abs(shift))
    if shift < 0 and whole % power:
        return None
    scaled = whole * power if shift >= 0 else whole // power
    return -scaled if value < 0 else scaled
