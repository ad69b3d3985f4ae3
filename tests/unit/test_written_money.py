"""Which amount a person wrote, and which amounts only look as if they had."""

from decimal import Decimal

import pytest

from leverframe.core.argument_labels import label_args
from leverframe.core.provenance import index_input, index_result, label_output
from leverframe.core.token_types import compile_types
from leverframe.core.written_money import written_money
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from leverframe.domain.tools import ArgRole, ArgSpec
from tests.policy_samples import LOOKUP, tool

TYPES = compile_types({"amount": r"(?:[$€]|USD )?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]{1,2})?"})
USER, NOBODY = Integrity.USER, Integrity.THIRD_PARTY


def paid(message: str, amount: Json, *, currency: str = "", unit: str = "major") -> Integrity:
    index = index_input({"message": message}, opener=USER, trust={}, types=TYPES)
    spec = ArgSpec(role=ArgRole.AMOUNT, currency=currency, unit=unit)
    return label_args({"amount": amount}, {"amount": spec}, index)["amount"].integrity


@pytest.mark.parametrize(
    ("message", "amount"),
    [
        ("Pay $50.", 50),
        ("Pay $50", Decimal("50.00")),
        ("pay (49.90) now", Decimal("49.9")),
        ("amount:49.90", Decimal("49.9")),
        ("**$50** please", 50),
        ("$1,250.00 to Ann", 1250),
        ("Pay USD 12 to Ann", 12),
        ("Pay 12 USD to Ann", 12),
        ("Pay 49.90 dollars", Decimal("49.9")),
        ("Pay $50 and $20.", 20),
        ("Pay 49.90 $20 voucher", Decimal("49.9")),
        ("Pay $50. Thousands of people wait", 50),
        ("Pay $50, EUR rates do not matter", 50),
        ("PAY 50.00 FOR IT", 50),
        ("1. 250.00 for Ann", 250),
        ("Order 7\n250.00", 250),
        ("12 49.90", Decimal("49.9")),
        ("Pay IBM 49.90 today", Decimal("49.9")),
        ("Pay $50 to IBM for the LAN", 50),
        ("Pay 50.00 (net) to Ann", 50),
    ],
)
def test_an_amount_that_the_user_wrote_is_theirs(message: str, amount: Json) -> None:
    assert paid(message, amount) is USER


@pytest.mark.parametrize("group", [" ", "\u00a0", "\u202f", "\u2009", "'", "\u2019", ",", "_", "."])
def test_a_group_of_a_longer_number_is_no_amount(group: str) -> None:
    assert paid(f"Pay 1{group}250.00 now", 250) is NOBODY
    assert paid(f"Pay $1{group}250.00 now", 1) is NOBODY
    assert paid(f"Pay EUR 1{group}250{group}100.00", 100, currency="EUR") is NOBODY


@pytest.mark.parametrize(
    "message",
    [
        "-250.00",
        "\u2212250.00",
        "+250.00",
        "minus 250.00",
        "250.00-",
        "1/250.00",
        "250.00/2",
        "3*250.00",
        "250.00^2",
        "#250.00",
        "250.00 k",
        "250.00 million",
        "250.00 Mio.",
        "250.00 thousand",
        "250.00%",
        "250.00 %",
        "250.00 percent",
        "250.00 per cent",
        "250.00 cents",
        "$250 1/2",
        "250.00 points",
        "R$250",
        "R$ 250.00",
        "HK$250",
        "\u20b9250.00",
        "\u20b9 250.00",
        "250.00 \u20bd",
        "250.00\u20ac",
        "250.00 \u20ac",
        "\u20ac250.00",
        "250.00 HUF",
        "HUF 250.00",
        "250.00 XYZ",
        "250.00 in total HUF",
        "ALL 250.00",
        "huf 250.00",
        "250.00 huf",
        "(250.00) HUF",
        "HUF (250.00)",
        "HUF **250.00**",
        "250.00 forint",
        "250.00 Hungarian forints",
        "250.00 Swedish crowns",
        "250.00 z\u0142",
        "Rs. 250.00",
        "250.00 kr.",
        "$250 CAD",
        "$250 Canadian",
        "CHF $250",
        "250.00 BTC",
        "about 250.00.5",
        "v250.00",
        "250.00e3",
    ],
)
def test_what_stands_beside_a_number_makes_it_another_amount(message: str) -> None:
    assert paid(f"Please pay {message} today", 250) is NOBODY
    assert paid(message, 250) is NOBODY


def test_an_amount_is_the_users_in_the_currency_that_they_wrote() -> None:
    for message in ("Pay \u20ac250", "Pay 250 EUR", "Pay 250.00 euros", "pay 250 \u20ac", "Pay 250.00 Euro"):
        assert paid(message, 250, currency="EUR") is USER
        assert paid(message, 250) is NOBODY
        assert paid(message, 250, currency="HUF") is NOBODY
    assert paid("Pay 250.00", 250, currency="HUF") is USER
    assert paid("Pay $250", 250, currency="CAD") is USER
    assert paid("Pay $250 CAD", 250, currency="CAD") is USER
    assert paid("Pay 5000.00 HUF", 5000, currency="HUF") is USER


def test_an_amount_in_cents_is_a_hundred_times_what_the_user_wrote() -> None:
    assert paid("Pay $50", 5000, unit="minor") is USER
    assert paid("Pay $50", "5000", unit="minor") is USER
    assert paid("Pay 49.90", 4990, unit="minor") is USER
    assert paid("Pay $50", 50, unit="minor") is NOBODY
    assert paid("Pay $0.50", 50, unit="minor") is USER
    assert paid("Pay 49.90", Decimal("49.9"), unit="minor") is NOBODY


@pytest.mark.parametrize("amount", [250, Decimal("250.00"), Decimal("250.50"), "250.00", "250.50"])
def test_no_spelling_of_an_amount_finds_a_part_of_a_longer_number(amount: Json) -> None:
    assert paid("Pay 1 250.00 and 1'250.50", amount) is NOBODY


def test_a_key_of_an_answer_makes_no_whole_number_anybodys() -> None:
    index = index_input({"message": "Pay $50"}, opener=USER, trust={}, types=TYPES)
    records = tool(LOOKUP, output_trust={"": Integrity.TENANT_RECORD})
    for key in ("amount (money)", "\0amount", "amount\0", "amount"):
        answer: Json = {key: "700", "amount": 700, "\0": "700"}
        index = index_result(index, answer, label_output(answer, records, step="1"), step="1")

    label = label_args({"amount": 700}, {"amount": ArgSpec(role=ArgRole.AMOUNT)}, index)["amount"]

    assert label.integrity is NOBODY


def test_an_amount_of_a_record_is_the_same_as_text_and_as_a_number() -> None:
    records = tool(LOOKUP, output_trust={"": Integrity.TENANT_RECORD})
    answer: Json = {"amount": "12.50"}
    index = index_result(
        index_input({}, opener=USER, trust={}), answer, label_output(answer, records, step="1"), step="1"
    )
    spec = {"amount": ArgSpec(role=ArgRole.AMOUNT)}

    for amount in (Decimal("12.5"), "12.50", "12.5"):
        assert label_args({"amount": amount}, spec, index)["amount"].integrity is Integrity.TENANT_RECORD


@pytest.mark.parametrize("token", ["50", "1,25", "5%", "", "$", "1,2,3.0", "9" * 200])
def test_a_token_that_is_no_number_or_a_bare_one_is_no_money(token: str) -> None:
    assert written_money(token, 0, len(token)) is None
