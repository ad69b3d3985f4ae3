"""The amounts that history rules sum: exact, or unknown; whatever number an agent sends."""

from decimal import Decimal

import pytest

from leverframe.domain.money import scaled_amount


@pytest.mark.parametrize(
    ("value", "millionths"),
    [
        (0, 0),
        (60, 60_000_000),
        (-60, -60_000_000),
        (Decimal("49.99"), 49_990_000),
        (Decimal("-0.000001"), -1),
        (Decimal("1.5000000000"), 1_500_000),
        (Decimal("1E+3"), 1_000_000_000),
        (Decimal("0E-999999"), 0),
        (Decimal("0E+999999"), 0),
        (Decimal("-0"), 0),
    ],
)
def test_an_amount_is_kept_exactly_in_millionths(value: object, millionths: int) -> None:
    assert scaled_amount(value) == millionths


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "60",
        60.0,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("0.0000001"),
        Decimal("1E-999999999"),
        Decimal("1E+999999999"),
        # Beyond the 28 digits of ordinary decimal arithmetic, which would round the last one away.
        Decimal("1.0000000000000000000000000000000000000000001"),
        10**30,
        2**62,
        10**4000,
    ],
)
def test_what_would_lose_a_digit_is_unknown_and_never_rounded(value: object) -> None:
    assert scaled_amount(value) is None
