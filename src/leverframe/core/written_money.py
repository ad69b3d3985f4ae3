"""Money as a person writes it in a text: which number, of which currency.

Knows: that a number is money with a fraction or a mark of its currency, and that what stands beside a number changes
it: a group of thousands, a sign, `k`, `percent`, another currency.  Never: guesses; a number whose surroundings may
change it is no money, which can only hold a call.  Source: ISO 4217 for codes.  Attacks:
tests/unit/test_written_money.py.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import re2

from leverframe.core.money_words import (
    CODES,
    CURRENCY_WORDS,
    DOLLARS,
    NEXT_WORDS,
    NO_CODES,
    NO_CURRENCY,
    OTHER_MONEY,
    SMALL_CODES,
)
from leverframe.core.token_types import exact_form

Currencies = frozenset[str]

_MAX_CHARS: Final = 100  # of one amount
_BESIDE_CHARS: Final = 60  # of what stands beside it, and may change it
_WORDS_BESIDE: Final = 3
# The thousands of a number may be set apart, all of them.
_NUMBER: Final = re2.compile(r"([^0-9]{0,12}?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]+)?([^0-9]{0,12})")
_GROUP_BEFORE: Final = re2.compile(r"(?:.*[^0-9A-Za-z])?[0-9]{1,3}")
_BEGINS_WITH_GROUP: Final = re2.compile(r"[0-9]{3}(?:,|$)")
_GROUP_AFTER: Final = re2.compile(r"[0-9]{3}(?:[^0-9].*)?|[0-9]+/[0-9].*")
_CODE: Final = re2.compile(r"[A-Z]{3}")
_OPENS: Final = frozenset("([{<\"'`*_~|>:;,=\u00ab\u00bb\u201c\u201d\u201e\u2018\u2019\u201a\u2014")
_CLOSES: Final = frozenset(")]}>\"'`*_~|<\u00ab\u00bb\u201c\u201d\u2018\u2019")
_ENDS: Final = frozenset(".,;:!?\u2014\u2026")  # of a part of a sentence; what follows is said of something else
_BLANKS: Final = " \t\u00a0\u2007\u2009\u202f"
_SIGNS: Final = {
    "$": DOLLARS,
    "\u20ac": frozenset(("EUR",)),
    "\u00a3": frozenset(("GBP",)),
    "\u00a5": frozenset(("JPY", "CNY")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount: its number in the one spelling, and the currencies that its marks may mean; none written, any."""

    number: str
    currencies: Currencies = frozenset()

    def is_in(self, currency: str) -> bool:
        """Whether it may be money of this currency (ISO 4217)."""
        return not self.currencies or currency in self.currencies


def is_written_as_money(token: str) -> bool:
    """Whether a token by itself is a number with a fraction or with a mark of a currency, and so no name of a thing."""
    found = _NUMBER.fullmatch(token) if len(token) <= _MAX_CHARS else None
    if found is None:
        return False
    marks = [part.strip() for part in (found.group(1), found.group(4)) if part.strip()]
    if not all(mark in _SIGNS or mark.casefold() in CURRENCY_WORDS or mark.lower() in SMALL_CODES for mark in marks):
        return False
    return bool(marks or found.group(3))


def written_money(text: str, start: int, end: int) -> Money | None:
    """The money that a token of a text is, by the token and by what stands beside it; else None.

    Args:
        text: what a person wrote.
        start: where the token begins.
        end: where it ends.
    """
    found = _NUMBER.fullmatch(text[start:end]) if end - start <= _MAX_CHARS else None
    if found is None:
        return None
    before, whole, fraction, after = found.groups()
    left, right = text[max(0, start - _BESIDE_CHARS) : start], text[end : end + _BESIDE_CHARS]
    marks = [_mark(part) for part in (before.strip(), after.strip()) if part.strip()]
    marks += [*_marks_before(left, is_group=bool(_BEGINS_WITH_GROUP.match(whole))), *_marks_after(right)]
    common: Currencies = frozenset.intersection(*marks) if marks else frozenset()
    if NO_CURRENCY in marks or (marks and not common) or not (marks or fraction):
        return None
    return Money(number=str(exact_form(Decimal(whole.replace(",", "") + (fraction or "")))), currencies=common)


def _mark(word: str) -> Currencies:
    """The currencies that a sign, code or word means; `NO_CURRENCY` where it means another number or other money."""
    if word in _SIGNS:
        return _SIGNS[word]
    if _CODE.fullmatch(word):
        return frozenset((word,))
    return CURRENCY_WORDS.get(word.casefold(), NO_CURRENCY)


def _marks_before(left: str, *, is_group: bool) -> Iterator[Currencies]:
    """What the text to the left of an amount says of it; `is_group`: it begins with three digits."""
    edge = left[-1:]
    if not edge or edge == "\n":
        return
    if _is_sign(edge):
        yield _SIGNS.get(edge, NO_CURRENCY) if not left[-2:-1].isalnum() else NO_CURRENCY
        return
    if edge not in _BLANKS and (edge not in _OPENS or left[-2:-1].isdigit()):
        # A letter, a sign of arithmetic or of something unknown: one piece with the number.
        yield NO_CURRENCY
        return
    word = _last_word(left)
    if is_group and _GROUP_BEFORE.fullmatch(word):
        yield NO_CURRENCY
    elif _is_sign(word[-1:]):
        yield _SIGNS.get(word, NO_CURRENCY)
    else:
        yield from _said(word.strip("."), OTHER_MONEY)


def _marks_after(right: str) -> Iterator[Currencies]:
    """What the text to the right of an amount says of it, up to the end of that part of the sentence."""
    edge = right[:1]
    if not edge or edge == "\n":
        return
    if _is_sign(edge):
        yield _SIGNS.get(edge, NO_CURRENCY)
        return
    if edge in _ENDS or edge in _CLOSES:
        if right[1:2].isdigit():
            yield NO_CURRENCY
        if edge in _ENDS or right[1:2] in _ENDS:
            return
    elif edge not in _BLANKS:
        yield NO_CURRENCY
        return
    rest = right.partition("\n")[0].strip(_BLANKS + "".join(_CLOSES))
    if _GROUP_AFTER.fullmatch(rest):
        yield NO_CURRENCY
    yield from _said_after(rest.split())


def _said_after(words: list[str]) -> Iterator[Currencies]:
    for position, written in enumerate(words[:_WORDS_BESIDE]):
        word = written.strip("".join(_OPENS | _CLOSES | _ENDS))
        if not position and _is_sign(written[:1]):
            # `49.90 $5` has the mark of the next amount.
            if not written[1:2].isdigit():
                yield _SIGNS.get(written, NO_CURRENCY)
            return
        if not position and written[:1] in {"%", "\u2030"}:
            yield NO_CURRENCY
        if not position and _CODE.fullmatch(word) and word not in NO_CODES:
            yield frozenset((word,))
        yield from _said(word, NEXT_WORDS if not position else OTHER_MONEY)
        if written[-1:] in _ENDS:
            return
        if not position and word.casefold() == "per" and words[1:2] and words[1].casefold().startswith("cent"):
            yield NO_CURRENCY


def _said(word: str, spoils: frozenset[str]) -> Iterator[Currencies]:
    """What one word beside an amount says of it; most say nothing."""
    small = word.casefold()
    if small in CURRENCY_WORDS:
        yield CURRENCY_WORDS[small]
    elif small in spoils:
        yield NO_CURRENCY
    elif word in CODES or small in SMALL_CODES:
        yield frozenset((word.upper(),))


def _last_word(left: str) -> str:
    line = left.rpartition("\n")[2].rstrip(_BLANKS + "".join(_OPENS))
    words = line.split()
    return words[-1] if words else ""


def _is_sign(char: str) -> bool:
    return bool(char) and unicodedata.category(char) == "Sc"
