"""What `redact_fields` withholds: fields by key, and their values wherever they appear again.

By key, at any depth and in JSON or a Python literal inside a text, whatever the type of the value.  By value, only
strings of three or more characters (two where the script has no case, as Han) that were met under such a key: they
match without regard to case, accents, width and invisible characters, as whole tokens, so that "1234" is not found
in "#W1234567"; also where they are JSON-escaped or percent-encoded, as a whole number, and in the keys of objects.
Not matched by value: numbers, booleans and shorter strings, which stand for too much else; and values that are
encoded in other ways (base64, spelled out).

Never: decides what a placeholder looks like; that is the `Rewriter` of `core.disclosures`.
Property, kept by tests/property/test_redaction_total.py: after `rewrite`, no such value is left anywhere.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from leverframe.domain.json import Json

MIN_CHARS = 3
MIN_CHARS_CASELESS = 2

_WORD = re.compile(r"\w+")
_ESCAPE = re.compile(r"\\[bfnrt\"/]")
_SCALAR = re.compile(r"[^\s,}\])]*")
_decode_at = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is redacted in one run.  Make it with `redaction_of` and `learn`, which fold keys and values."""

    keys: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)  # folded value -> the key it was met under
    # Filled at the first search, so that a text is searched once for all values and not once for each.
    _needles: list["_Needles"] = field(default_factory=list, init=False, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.keys or self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Characters `start` to `end` of a text, to be withheld under the name of a key."""

    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needles:
    """Values by the first word in them, which must stand in a text as a whole word; `others` are always tried."""

    by_word: Mapping[str, Sequence[str]]
    others: Sequence[str]

    @classmethod
    def of(cls, values: Iterable[str]) -> "_Needles":
        by_word: dict[str, list[str]] = {}
        others: list[str] = []
        for needle in values:
            word = _WORD.search(needle)
            # Scripts without case have no word boundaries, and a value may stand in the middle of a run of theirs.
            if word is None or any(_is_caseless(char) for char in word[0]):
                others.append(needle)
            else:
                by_word.setdefault(word[0], []).append(needle)
        return cls(by_word=by_word, others=others)

    def candidates(self, folded: str) -> Iterator[str]:
        """The values that may stand in a folded text, each once."""
        yield from (needle for needle in self.others if needle.partition(" ")[0] in folded)
        for word in set(_WORD.findall(folded)) & self.by_word.keys():
            yield from self.by_word[word]


class Rewriter(Protocol):
    """Says what takes the place of what is withheld."""

    def withheld(self, key: str, value: Json) -> Json:
        """The stand-in of a whole value."""
        ...

    def text(self, parts: Sequence[str | Span], whole: str) -> Json:
        """A text of which spans are withheld; `parts` are what is left and the spans, in order."""
        ...

    def mapping(self, pairs: Sequence[tuple[Json, Json]]) -> Json:
        """An object; a key is a string, or what `text` made of one."""
        ...


def redaction_of(keys: Iterable[str], values: Mapping[str, str] | None = None) -> Redaction:
    """The redaction of these field names, and of values already known, each with the key it was met under."""
    folded = frozenset(_fold(key)[0] for key in keys)
    return _with_values(Redaction(keys=folded), (values or {}).items())


def learn(redaction: Redaction, value: Json) -> Redaction:
    """Add the values that stand under redacted keys; the same object where there is nothing new."""
    return _with_values(redaction, ((text, key) for key, text in _under_keys(redaction, value)))


def rewrite(value: Json, redaction: Redaction, into: Rewriter) -> Json:
    """Copy a value with everything redacted replaced by what `into` says."""
    if isinstance(value, str):
        return _rewrite_text(value, redaction, into)
    if isinstance(value, Mapping):
        pairs: list[tuple[Json, Json]] = []
        for key, one in value.items():
            inner = into.withheld(key, one) if is_redacted_key(key, redaction) else rewrite(one, redaction, into)
            pairs.append((_rewrite_text(key, redaction, into), inner))
        return into.mapping(pairs)
    if isinstance(value, Sequence):
        return [rewrite(one, redaction, into) for one in value]
    if _is_redacted_number(value, redaction):
        return into.withheld(redaction.values[str(value).lower()], value)
    return value


def may_withhold(data: bytes, redaction: Redaction) -> bool:
    """Whether JSON text may hold something to withhold; False is a promise, and costs a search of its bytes.

    Only of plain ASCII can that be told without reading it: another letter or an escaped one may fold to any.
    """
    if not redaction:
        return False
    if not data.isascii() or b"\\u" in data or any("/" in key for key in redaction.keys):
        return True
    text = data.decode().lower()
    if any(key in text for key in redaction.keys):
        return True
    if not redaction.values:
        return False
    # What stands behind an escape is a word of its own in the string that the text spells.
    spelled = (text, _ESCAPE.sub(" ", text)) if "\\" in text else (text,)
    return any(next(_needles(redaction).candidates(one), None) is not None for one in spelled)


def spans(text: str, redaction: Redaction) -> tuple[Span, ...]:
    """The parts of a text to withhold, in order and apart from each other."""
    if not redaction:
        return ()
    found = list(_merged([*_key_spans(text, redaction.keys), *_value_spans(text, 0, redaction)]))
    fresh = found
    # What stands beside a withheld span stands alone once it is cut, and may be a whole token only then.
    while fresh:
        fresh = [
            span for start, end in _gaps(found, len(text)) for span in _value_spans(text[start:end], start, redaction)
        ]
        found = list(_merged([*found, *fresh]))
    return tuple(found)


def is_redacted_key(key: str, redaction: Redaction) -> bool:
    """Whether a field of this name is withheld."""
    return _fold(key)[0] in redaction.keys


def fold(text: str) -> str:
    """The form in which values are compared: without case, accents, width and invisible characters."""
    return _fold(text)[0]


def _rewrite_text(text: str, redaction: Redaction, into: Rewriter) -> Json:
    found = spans(text, redaction)
    if not found:
        return text
    parts: list[str | Span] = []
    start = 0
    for span in found:
        parts += [text[start : span.start], span] if span.start > start else [span]
        start = span.end
    return into.text([*parts, text[start:]] if start < len(text) else parts, text)


def _with_values(redaction: Redaction, found: Iterable[tuple[str, str]]) -> Redaction:
    new: dict[str, str] = {}
    for text, key in found:
        percent = quote(text, safe="", errors="surrogatepass")
        for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], percent):
            needle = " ".join(_fold(form)[0].split())
            if len(needle) >= _least(needle) and needle not in redaction.values:
                new.setdefault(needle, key)
    return Redaction(keys=redaction.keys, values={**redaction.values, **new}) if new else redaction


def _least(needle: str) -> int:
    return MIN_CHARS_CASELESS if all(_is_caseless(char) for char in needle) else MIN_CHARS


def _under_keys(redaction: Redaction, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        for span in _key_spans(value, redaction.keys):
            inner = _literal(value[span.start : span.end])
            yield from ((span.key, text) for text in _strings(inner))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if is_redacted_key(key, redaction):
                yield from ((key, text) for text in _strings(one))
            else:
                yield from _under_keys(redaction, one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _under_keys(redaction, one)


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _strings(one)


def _literal(raw: str) -> Json:
    try:
        value: Json = json.loads(raw, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None if raw[:1] in ("{", "[", "(") else raw.strip("\\\"'")
    return value


def _is_redacted_number(value: Json, redaction: Redaction) -> bool:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return is_number and str(value).lower() in redaction.values


def _key_spans(text: str, keys: frozenset[str]) -> Iterator[Span]:
    """The values that follow a quoted redacted key and a colon, as in `{"email": "a@b.c"}` inside a text."""
    if not keys or ":" not in text:
        return
    end = 0
    for match in _quoted_key(keys).finditer(text):
        if match.end() < end:
            continue
        escape, key, start = match["escape"], match["key"], match.end()
        end = _value_end(text, start, escape)
        if end > start:
            yield Span(start=start, end=end, key=key)


def _value_end(text: str, start: int, escape: str) -> int:
    """Where a literal ends; the end of the text where that cannot be told, so that nothing slips out behind it."""
    if not escape:
        try:
            return _decode_at(text, start)[1]
        except (ValueError, RecursionError):
            pass
    quote_mark = text[start + len(escape) : start + len(escape) + 1]
    if text.startswith(escape, start) and quote_mark in ('"', "'"):
        closing = re.compile(r"(?<!\\)" + re.escape(escape + quote_mark)).search(text, start + len(escape) + 1)
        return closing.end() if closing else len(text)
    if text[start : start + 1] in ("{", "[", "("):
        return len(text)
    scalar = _SCALAR.match(text, start)
    return scalar.end() if scalar else len(text)


def _value_spans(text: str, offset: int, redaction: Redaction) -> Iterator[Span]:
    if not redaction.values or not text:
        return
    folded, origin = _fold(text)
    for needle in _needles(redaction).candidates(folded):
        key = redaction.values[needle]
        for match in _token(needle).finditer(folded):
            start, end = match.span()
            if origin is not None:
                # Marks and invisible characters that fold to nothing go with the character before them.
                after = origin[end] if end < len(origin) else len(text)
                start, end = origin[start], max(after, origin[end - 1] + 1)
            yield Span(start=offset + start, end=offset + end, key=key)
        if origin is not None and len(plain := text.lower()) == len(text):
            # An invisible character behind a value ends its word for whoever searches the text as it stands.
            for match in _token(needle).finditer(plain):
                yield Span(start=offset + match.start(), end=offset + match.end(), key=key)


def _needles(redaction: Redaction) -> _Needles:
    if not redaction._needles:  # noqa: SLF001 - a cache of this module's own
        redaction._needles.append(_Needles.of(redaction.values))  # noqa: SLF001 - as above
    return redaction._needles[0]  # noqa: SLF001 - as above


def _gaps(found: Sequence[Span], length: int) -> Iterator[tuple[int, int]]:
    start = 0
    for span in found:
        yield start, span.start
        start = span.end
    yield start, length


def _merged(found: Iterable[Span]) -> Iterator[Span]:
    last: Span | None = None
    for span in sorted(found, key=lambda one: (one.start, -one.end)):
        if last is None or span.start >= last.end:
            if last is not None:
                yield last
            last = span
        elif span.end > last.end:
            last = Span(start=last.start, end=span.end, key=last.key)
    if last is not None:
        yield last


@lru_cache(maxsize=256)
def _quoted_key(keys: frozenset[str]) -> re.Pattern[str]:
    names = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
    return re.compile(rf"(?P<escape>\\*)(?P<mark>[\"'])(?P<key>{names})(?P=escape)(?P=mark)\s*:\s*", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _token(needle: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if _has_boundary(needle[0]) else ""
    after = r"(?!\w)" if _has_boundary(needle[-1]) else ""
    return re.compile(before + r"\s+".join(re.escape(word) for word in needle.split(" ")) + after)


def _has_boundary(char: str) -> bool:
    return (char.isalnum() or char == "_") and not _is_caseless(char)


def _is_caseless(char: str) -> bool:
    return unicodedata.category(char) == "Lo"


def _fold(text: str) -> tuple[str, tuple[int, ...] | None]:
    """Fold a text; and for each folded character the index it came from, None where that is its own."""
    if text.isascii():
        return text.lower(), None
    folded: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for one in _fold_char(char):
            folded.append(one)
            origin.append(index)
    return "".join(folded), tuple(origin)


@lru_cache(maxsize=8192)
def _fold_char(char: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(one for one in plain if unicodedata.category(one) not in ("Mn", "Cf"))
