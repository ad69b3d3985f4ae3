"""The project's typed tokens: what `types:` of `leverframe.yaml` declares, and the normal form of a typed value.

Knows: linear-time patterns (RE2) and how equal values are written one way.  Never: takes a part of a longer token.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from string import ascii_lowercase, ascii_uppercase

import re2

from leverframe.core.word_edges import splits_a_word
from leverframe.domain.json import Json

# A longer text is read up to here; a token after it stays untraced, which can only hold a call.
MAX_TEXT_CHARS = 1_000_000
_MAX_TOKENS = 10_000  # of each type in one text; likewise
_MAX_WHOLE_EXPONENT = 100  # 1E+1000000 stays a decimal; as an integer it would fill a page
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class TokenTypes:
    """Semantic type -> the pattern of its values, compiled once (`compile_types`)."""

    patterns: tuple[tuple[str, "re2._Regexp"], ...] = ()

    def whole(self, value: str) -> Iterator[str]:
        """The types whose pattern matches all of a value, the white space around it aside."""
        text = value.strip()
        return (name for name, pattern in self.patterns if pattern.fullmatch(text))

    def tokens(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Every (type, start, end) of a token.  A part of a longer word is none: `#W12345678` holds no `#W1234567`."""
        text = text[:MAX_TEXT_CHARS]
        for name, pattern in self.patterns:
            for match in islice(pattern.finditer(text), _MAX_TOKENS):
                if match.group() and not splits_a_word(text, match.start(), match.end()):
                    yield name, match.start(), match.end()


NO_TYPES = TokenTypes()


def compile_types(types: Mapping[str, str]) -> TokenTypes:
    """Compile the patterns of a project.

    Raises:
        ValueError: a pattern is not one of RE2, naming its type; `check` has refused such a project before.
    """
    options = re2.Options()
    options.log_errors = False
    compiled = []
    for name, pattern in types.items():
        try:
            compiled.append((name, re2.compile(pattern, options)))
        except re2.error as err:
            msg = f"The pattern {pattern!r} of the type {name!r} is not a linear-time (RE2) pattern"
            raise ValueError(msg) from err
    return TokenTypes(patterns=tuple(compiled))


def normal_form(type_name: str, value: str) -> str:
    """A string as it is compared: without white space around it, and e-mail addresses without case.

    An account number (`iban`) is written with blanks or without.  Only ASCII has no case here: `groß.de` is another
    host than `gross.de`.
    """
    text = value.strip()
    if _is_of(type_name, "iban"):
        return "".join(text.split(" ")).translate(_LOWER)
    return text.translate(_LOWER) if _is_of(type_name, "email") or type_name == "e_mail" else text


def normal_value(type_name: str, value: Json) -> Json:
    """A value as it is compared: strings in their normal form, also in lists; a whole number without a fraction.

    Two acts that differ in the spelling of a value alone are one act: `"#W1 "` and `"#W1"`, `50` and `50.00`.
    """
    if isinstance(value, str):
        return normal_form(type_name, value)
    if isinstance(value, list | tuple):
        return [normal_value(type_name, item) for item in value]
    if isinstance(value, Decimal) and value.is_finite():
        return exact_form(value)
    return value


def exact_form(value: Decimal) -> int | Decimal:
    """The one spelling of a finite number: an integer where it is one of moderate size, else without trailing zeros."""
    sign, digits, exponent = value.as_tuple()
    kept = list(digits)
    shift = int(exponent)
    while len(kept) > 1 and kept[-1] == 0:
        kept.pop()
        shift += 1
    if kept == [0]:
        return 0
    shortest = Decimal((sign, tuple(kept), shift))
    return int(shortest) if 0 <= shift <= _MAX_WHOLE_EXPONENT else shortest


def _is_of(type_name: str, kind: str) -> bool:
    return type_name == kind or type_name.endswith(f"_{kind}")
