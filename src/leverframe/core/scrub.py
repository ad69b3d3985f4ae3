"""Secrets taken out of what a receiver said, by value.

Knows: that a secret may come back whole, inside a longer text, as a key, as a number, JSON-escaped, percent-encoded, as
hexadecimal digits or in base64, also where it was encoded together with other text (`Basic` of a name and it).
Never: looks at where the value stands; `redact_fields` is another matter (`core.redaction`).
Property, kept by tests/property/test_scrub.py: after `scrubbed`, no text of the value holds a secret.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

from leverframe.domain.json import Json

PLACEHOLDER = "[secret]"
# Of what stays of a secret that was encoded within a longer text: fewer digits could stand there by chance.
_FEWEST: Final = 8
# What the encoders of other languages leave as it is: JavaScript's encodeURIComponent, and those meant for a path.
_LEFT: Final = ("", "/", "!'()*", "/!'()*")
_ESCAPE: Final = re.compile(r"%[0-9A-F]{2}")


def scrubbed(value: Json, secrets: Collection[str]) -> Json:
    """Copy a value with every occurrence of a secret replaced by `[secret]`; the same object where there are none."""
    forms = _forms(secrets)
    return _scrub(value, forms) if forms else value


def scrubbed_text(text: str, secrets: Collection[str]) -> str:
    """A text without the secrets."""
    return _scrub_text(text, _forms(secrets))


def spellings(secrets: Collection[str]) -> tuple[str, ...]:
    """Every spelling of secrets that is taken out, longest first."""
    return _forms(secrets)


def _scrub(value: Json, forms: Sequence[str]) -> Json:
    if isinstance(value, str):
        return _scrub_text(value, forms)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | Decimal):
        return PLACEHOLDER if str(value) in forms else value
    if isinstance(value, Mapping):
        return {_scrub_text(key, forms): _scrub(one, forms) for key, one in value.items()}
    return [_scrub(one, forms) for one in value]


def _scrub_text(text: str, forms: Sequence[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, PLACEHOLDER)
    return text


def _forms(secrets: Collection[str]) -> tuple[str, ...]:
    """Every spelling to look for, longest first: a secret may hold another one."""
    return _forms_of(frozenset(secrets)) if secrets else ()


@lru_cache(maxsize=64)
def _forms_of(secrets: frozenset[str]) -> tuple[str, ...]:
    found = {form for secret in secrets if secret for form in _spelled(secret)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _spelled(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield from (secret, escape(secret))
    for is_ascii in (True, False):
        escaped = json.dumps(secret, ensure_ascii=is_ascii)[1:-1]
        yield escaped.replace("/", "\\/")  # as PHP writes it
        for _ in range(3):
            yield escaped
            # A text within a text, as servers send structured content a second time.
            escaped = json.dumps(escaped, ensure_ascii=is_ascii)[1:-1]
    for encode in (quote, quote_plus):
        for left in _LEFT:
            escaped = encode(secret, safe=left)
            yield from (escaped, _ESCAPE.sub(lambda found: found.group().lower(), escaped))
    yield from (data.hex(), data.hex().upper())
    for in_base64 in (b64encode, urlsafe_b64encode):
        whole = in_base64(data).decode()
        yield from (whole, whole.rstrip("="))
        for before in range(3):
            # Of the digits that stand for a part of it, those that no neighbour has a share in.
            first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
            inner = in_base64(bytes(before) + data).decode()[first:last]
            if len(inner) >= _FEWEST:
                yield inner
