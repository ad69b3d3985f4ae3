"""Laws of scrubbing, for any value and any secrets."""

import base64
import json
import re
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.scrub import PLACEHOLDER, scrubbed
from leverframe.domain.json import Json

# No secret is part of the placeholder: such a one could not be told from it.
SECRETS = st.sets(st.text(min_size=4).filter(lambda text: text not in PLACEHOLDER), min_size=1, max_size=3)
# Some of its characters are written otherwise by every encoder.
MADE_UP = 'made-up/K+9?x~(8) þ*q"=7Zw'
LEAVES = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for one in value.values() for text in texts(one))]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


@given(secrets=SECRETS, data=st.data())
def test_no_text_of_a_scrubbed_value_holds_a_secret(secrets: set[str], data: st.DataObject) -> None:
    around = st.tuples(st.text(max_size=3), st.sampled_from(sorted(secrets)), st.text(max_size=3)).map("".join)
    values = st.recursive(
        LEAVES | around,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | around, inner, max_size=3),
    )
    value: Json = data.draw(values)

    found = texts(scrubbed(value, secrets))

    joined = [piece for text in found for piece in text.split(PLACEHOLDER)]
    assert not [secret for secret in secrets for piece in joined if secret in piece]


def test_a_secret_is_found_in_other_spellings() -> None:
    made_up = 'pass"word/ä'
    value: Json = {
        "url": "https://shop.example/?key=pass%22word%2F%C3%A4",
        "raw": 'sent {"key": "pass\\"word/\\u00e4"}',
        "basic": "Basic cGFzcyJ3b3JkL8Ok",
    }

    found = scrubbed(value, {made_up})

    assert found == {
        "url": f"https://shop.example/?key={PLACEHOLDER}",
        "raw": f'sent {{"key": "{PLACEHOLDER}"}}',
        "basic": f"Basic {PLACEHOLDER}",
    }


@pytest.mark.parametrize(
    "echo",
    [
        base64.b64encode(MADE_UP.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(MADE_UP.encode()).decode(),
        base64.urlsafe_b64encode(MADE_UP.encode()).decode().rstrip("="),
        *(
            base64.b64encode(f"{'u' * before}{MADE_UP}{'v' * after}".encode()).decode()
            for before in range(6)
            for after in range(3)
        ),
        re.sub("%..", lambda found: found.group().lower(), quote(MADE_UP, safe="")),
        quote(MADE_UP, safe="/"),
        quote(MADE_UP, safe="!'()*"),
        quote_plus(MADE_UP),
        MADE_UP.replace(chr(34), '\\"').replace("/", "\\/"),
        json.dumps(json.dumps(json.dumps(MADE_UP))),
        MADE_UP.encode().hex(),
        MADE_UP.encode().hex().upper(),
    ],
)
def test_nothing_of_a_secret_can_be_decoded_from_what_is_left_of_an_echo(echo: str) -> None:
    found = scrubbed(f"you sent: {echo}, thank you", {MADE_UP})

    assert isinstance(found, str)
    assert PLACEHOLDER in found
    # Of an echo in base64, at most the digits remain that the secret shares with its neighbours, at either end.
    left = found.removeprefix("you sent: ").removesuffix(", thank you").split(PLACEHOLDER)
    assert all(len(piece) <= 12 for piece in left)


def test_a_short_secret_takes_no_other_text_with_it() -> None:
    assert scrubbed("Ym9v is a word, and so is Zm9v", {"oops"}) == "Ym9v is a word, and so is Zm9v"


def test_a_secret_number_is_withheld_and_other_numbers_stay() -> None:
    found = scrubbed({"pin": 483920, "price": Decimal("49.99")}, {"483920"})

    assert found == {"pin": PLACEHOLDER, "price": Decimal("49.99")}
