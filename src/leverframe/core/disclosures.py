"""Salted disclosures: what a leaf commits to without saying it.

Knows: how a value becomes digests (RFC 9901 section 4.2.3), how redacted parts of it become disclosures of their own,
and how the value is put together again from those that are given.

Inside a disclosed value three kinds of objects are ours; a key of the value itself that begins with "..." is written
with "...=" before it, so that no outside text can pass for one of them:

    {"...": digest}                                 a withheld value; its disclosure, marked redacted, has it verbatim
    {"...cut": [text or {"...": digest}, ...]}      a text of which parts are withheld
    {"...pairs": [[key, value], ...]}               an object of which a key holds withheld text

Never: draws a salt, or keeps a key; both are given.
"""

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from leverframe.core.canonical import decode, encode
from leverframe.core.redaction import (
    Redaction,
    Span,
    fold,
    is_redacted_key,
    learn,
    may_withhold,
    redaction_of,
    rewrite,
    spans,
)
from leverframe.domain.evidence import Disclosure, Withheld
from leverframe.domain.json import Json

SALT_BYTES = 16
PLACE, CUT, PAIRS, ESCAPE = "...", "...cut", "...pairs", "...="
_TOKEN_BYTES = 9
# Source: the documentation of hashlib; from this many bytes on it releases the interpreter's lock.
_KEEPS_LOCK_BYTES = 2048
_PIECE_BYTES = _KEEPS_LOCK_BYTES - 1
_MOST_IN_PIECES_BYTES = 1 << 16
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLACE = re.compile(rb'"\.\.\.":"([A-Za-z0-9_-]{43})"')
# Text that somebody else wrote may spell the dots of a key with escapes.
_DOTS = re.compile(rb'"(?:\.|\\u002[eE]){3}')


def digest_of(salt: str, name: str, value_bytes: bytes) -> str:
    """base64url(sha-256(ASCII of base64url(JSON [salt, name, value])))."""
    encoded = _b64_bytes(b'["%s",%s,%s]' % (salt.encode(), _name(name), value_bytes))
    return _b64_bytes(_sha256(encoded)).decode()


def encoded(disclosure: Disclosure) -> str:
    """The disclosure as it is exchanged: base64url(JSON [salt, name, value])."""
    return _b64(
        b'["%s",%s,%s]' % (disclosure.salt.encode(), encode(disclosure.name), disclosure.value_bytes),
    )


def seal(
    name: str, value: Json, *, redaction: Redaction, salts: Iterator[bytes], token_key: bytes
) -> tuple[Disclosure, ...]:
    """Commit to a value: first the whole of it with placeholders, then each redacted part with a salt of its own.

    Values that the value itself shows to be redacted (`learn`) are redacted in all of it; for what is sealed later in
    the run the caller keeps `learn(redaction, value)`.  `salts` gives 16 random bytes a time, one for the whole and
    one for each part; `token_key` is the run's, so that equal redacted values get equal tokens within the run.
    """
    writer = _Sealer(salts=salts, token_key=token_key)
    if is_redacted_key(name, redaction):
        return (writer.disclose(name, encode(writer.withheld(name, value))), *writer.redacted)
    known = learn(redaction, value)
    # A value without a key of ours and with nothing to redact is itself, which is the common case and the fast one.
    value_bytes = encode(value)
    if known or b'"...' in value_bytes:
        value_bytes = encode(rewrite(value, known, writer))
    return (writer.disclose(name, value_bytes), *writer.redacted)


def seal_bytes(
    name: str, value_bytes: bytes, *, redaction: Redaction, salts: Iterator[bytes], token_key: bytes
) -> tuple[Disclosure, ...]:
    """As `seal`, of a value that is JSON text already: it is kept to the byte where nothing of it is withheld.

    Raises:
        JsonInvalid: something may be withheld, and the text is not the JSON that we read.
    """
    writer = _Sealer(salts=salts, token_key=token_key)
    if _may_look_ours(value_bytes) or may_withhold(value_bytes, redaction) or is_redacted_key(name, redaction):
        return seal(name, decode(value_bytes), redaction=redaction, salts=salts, token_key=token_key)
    return (writer.disclose(name, value_bytes),)


def open_(top: Disclosure, parts: Mapping[str, Disclosure], shown: Mapping[str, str]) -> Json:
    """Put a value together again.

    Args:
        top: the first disclosure of `seal`.
        parts: the redacted disclosures that the reader may have, by digest; all of them give back the exact value.
        shown: for those withheld the text to show instead, by digest, as `placeholders` writes it.
    """
    return _opened(decode(top.value_bytes), parts, shown)


def places_in(value_bytes: bytes) -> Iterator[str]:
    """The digests of the redacted parts that a sealed value holds the places of."""
    return (found.decode() for found in _PLACE.findall(value_bytes))


def redaction_from(redaction: Redaction, parts: Iterable[Disclosure]) -> Redaction:
    """What a run has learned to redact, out of its stored redacted disclosures."""
    redacted = [part for part in parts if part.is_redacted]
    if not redacted:
        return redaction
    keyed = redaction_of([*redaction.keys, *(part.name for part in redacted)], redaction.values)
    return learn(keyed, [{part.name: decode(part.value_bytes)} for part in redacted])


def placeholders(withheld: Iterable[Disclosure | Withheld]) -> dict[str, str]:
    """The text to show for each redacted disclosure of one run: `[email withheld 1]`, equal for equal values."""
    numbers = Placeholders()
    return {one.digest: numbers.text_for(one.name, one.token or one.digest) for one in withheld}


def redact_json(value: Json, redaction: Redaction, numbers: "Placeholders") -> Json:
    """Copy a value for showing, with everything redacted as `[email withheld 1]`.

    `numbers` is kept by the caller for as long as equal values should look equal.
    """
    known = learn(redaction, value)
    return rewrite(value, known, _Shower(numbers=numbers)) if known else value


def must_withhold(top: Disclosure, redaction: Redaction) -> bool:
    """Whether a sealed value holds something that was learned to be redacted only after it was sealed.

    Its bytes cannot change any more, so it is shown through `redact_json` and left out of exports as a whole.
    """
    return _shows_redacted(decode(top.value_bytes), redaction) if redaction else False


@dataclass(slots=True, kw_only=True)
class Placeholders:
    """Numbers withheld values as they appear; a local accumulator, never shared between runs."""

    _texts: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def text_for(self, name: str, token: str) -> str:
        """`[email withheld 2]` for the second distinct token of that name; a known token keeps its text."""
        if token not in self._texts:
            self._counts[name] = self._counts.get(name, 0) + 1
            self._texts[token] = f"[{name} withheld {self._counts[name]}]"
        return self._texts[token]


@dataclass(slots=True, kw_only=True)
class _Sealer:
    salts: Iterator[bytes]
    token_key: bytes
    redacted: list[Disclosure] = field(default_factory=list)

    def disclose(self, name: str, value_bytes: bytes, token: str = "") -> Disclosure:
        raw = next(self.salts)
        if len(raw) != SALT_BYTES:
            raise ValueError(f"A salt has {SALT_BYTES} random bytes, got {len(raw)}")
        salt = _b64(raw)
        return Disclosure(
            digest=digest_of(salt, name, value_bytes),
            salt=salt,
            name=name,
            value_bytes=value_bytes,
            is_redacted=bool(token),
            token=token,
        )

    def withheld(self, key: str, value: Json) -> Json:
        value_bytes = encode(value)
        same = fold(value).encode() if isinstance(value, str) else value_bytes
        token = _b64(hmac.digest(self.token_key, same, "sha256")[:_TOKEN_BYTES])
        disclosure = self.disclose(key, value_bytes, token)
        self.redacted.append(disclosure)
        return {PLACE: disclosure.digest}

    def text(self, parts: Sequence[str | Span], whole: str) -> Json:
        cut = [one if isinstance(one, str) else self.withheld(one.key, whole[one.start : one.end]) for one in parts]
        return cut[0] if len(cut) == 1 else {CUT: cut}

    def mapping(self, pairs: Sequence[tuple[Json, Json]]) -> Json:
        escaped = [(_escaped(key), value) for key, value in pairs]
        if all(isinstance(key, str) for key, _ in escaped):
            return {str(key): value for key, value in escaped}
        return {PAIRS: [[key, value] for key, value in escaped]}


@dataclass(slots=True, kw_only=True)
class _Shower:
    numbers: Placeholders

    def withheld(self, key: str, value: Json) -> Json:
        token = fold(value) if isinstance(value, str) else encode(value).decode()
        return self.numbers.text_for(key, token)

    def text(self, parts: Sequence[str | Span], whole: str) -> Json:
        return "".join(
            one if isinstance(one, str) else str(self.withheld(one.key, whole[one.start : one.end])) for one in parts
        )

    def mapping(self, pairs: Sequence[tuple[Json, Json]]) -> Json:
        return _distinct(pairs)


def _may_look_ours(value_bytes: bytes) -> bool:
    """Whether a key of JSON text may begin with "..." once it is read."""
    return b'"...' in value_bytes or (b"\\u002" in value_bytes and _DOTS.search(value_bytes) is not None)


def _escaped(key: Json) -> Json:
    return ESCAPE + key if isinstance(key, str) and key.startswith(PLACE) else key


def _unescaped(key: str) -> str:
    return key.removeprefix(ESCAPE)


def _opened(value: Json, parts: Mapping[str, Disclosure], shown: Mapping[str, str]) -> Json:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        match list(value.items()):
            case [(key, digest)] if key == PLACE and isinstance(digest, str):
                part = parts.get(digest)
                return decode(part.value_bytes) if part is not None else shown.get(digest, "[withheld]")
            case [(key, cut)] if key == CUT and isinstance(cut, Sequence):
                return "".join(str(_opened(one, parts, shown)) for one in cut)
            case [(key, pairs)] if key == PAIRS and isinstance(pairs, Sequence):
                return _distinct(_opened_pair(pair, parts, shown) for pair in pairs)
        return {_unescaped(key): _opened(one, parts, shown) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [_opened(one, parts, shown) for one in value]
    return value


def _opened_pair(pair: Json, parts: Mapping[str, Disclosure], shown: Mapping[str, str]) -> tuple[Json, Json]:
    match pair:
        case [str() as key, value]:
            return _unescaped(key), _opened(value, parts, shown)
        case [cut, value]:
            return _opened(cut, parts, shown), _opened(value, parts, shown)
    raise ValueError(f"A pair of {PAIRS!r} is a key and a value, got {type(pair).__name__}")


def _distinct(pairs: Iterable[tuple[Json, Json]]) -> dict[str, Json]:
    """An object in which two keys that look alike once they are withheld stay two."""
    known: dict[str, Json] = {}
    for key, value in pairs:
        name, number = str(key), 2
        while name in known:
            name, number = f"{key} ({number})", number + 1
        known[name] = value
    return known


def _shows_redacted(value: Json, redaction: Redaction) -> bool:
    if isinstance(value, str):
        return bool(spans(value, redaction))
    if isinstance(value, Mapping):
        if PLACE in value:
            return False
        return any(
            (is_redacted_key(key, redaction) and not _is_place(one))
            or bool(spans(key, redaction))
            or _shows_redacted(one, redaction)
            for key, one in value.items()
        )
    if isinstance(value, Sequence):
        return any(_shows_redacted(one, redaction) for one in value)
    return rewrite(value, redaction, _Shower(numbers=Placeholders())) is not value


def _is_place(value: Json) -> bool:
    return isinstance(value, Mapping) and PLACE in value


# Few names are ever disclosed under, and each of them for every call.
@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    return encode(name)


def _sha256(data: bytes) -> bytes:
    """SHA-256, in pieces for which hashlib keeps the interpreter's lock.

    It lets go of the lock for more, and to get it back beside a busy thread takes fifty times as long as the hash.
    """
    if len(data) < _KEEPS_LOCK_BYTES or len(data) > _MOST_IN_PIECES_BYTES:
        return hashlib.sha256(data).digest()
    hashed = hashlib.sha256()
    for start in range(0, len(data), _PIECE_BYTES):
        hashed.update(data[start : start + _PIECE_BYTES])
    return hashed.digest()


def _b64_bytes(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")


def _b64(raw: bytes) -> str:
    return _b64_bytes(raw).decode()
