"""Secrets taken out of what a receiver said, by value.

Knows: that a secret may come back whole, inside a longer text, as a key, as a number, JSON-escaped, percent-encoded or
in base64.  Never: looks at where the value stands; `redact_fields` is another matter (`core.redaction`).
Property, kept by tests/property/test_scrub.py: after `scrubbed`, no text of the value holds a secret.
"""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from urllib.parse import quote

from leverframe.domain.json import Json

PLACEHOLDER = "[secret]"


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
    found = set()
    for secret in secrets:
        if secret:
            encoded = b64encode(secret.encode()).decode()
            escaped = json.dumps(secret)[1:-1]
            found |= {secret, escaped, json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe=""), encoded}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))
