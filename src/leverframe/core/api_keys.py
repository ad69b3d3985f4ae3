"""The text of an API key: `lf_`, its id of 22 letters and digits, `_`, its secret of 43.

Knows: how random bytes are spelled and how a text is taken apart.  Never: makes a key or looks one up.  Letters and
digits alone, so that a key survives a shell, a URL and a double click; scanners of leaked secrets know its prefix.
"""

import re
from dataclasses import dataclass

from leverframe.domain.ids import KeyId

ID_BYTES, SECRET_BYTES = 16, 32
_ID_CHARS, _SECRET_CHARS = 22, 43  # 62**22 > 2**128 and 62**43 > 2**256
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(rf"lf_([0-9A-Za-z]{{{_ID_CHARS}}})_([0-9A-Za-z]{{{_SECRET_CHARS}}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """A key as its owner holds it."""

    key_id: KeyId
    secret: str

    def __repr__(self) -> str:
        """Without the secret, wherever it is printed by mistake."""
        return f"KeyText(key_id={self.key_id!r})"

    @property
    def text(self) -> str:
        """What goes into `Authorization: Bearer` or `x-api-key`."""
        return f"lf_{self.key_id.removeprefix('key_')}_{self.secret}"


def spell(key_id: bytes, secret: bytes) -> KeyText:
    """A key from 16 and 32 random bytes.

    Raises:
        ValueError: they are not that long.
    """
    if len(key_id) != ID_BYTES or len(secret) != SECRET_BYTES:
        msg = f"A key is {ID_BYTES} and {SECRET_BYTES} bytes, got {len(key_id)} and {len(secret)}"
        raise ValueError(msg)
    return KeyText(key_id=KeyId(f"key_{_base62(key_id, _ID_CHARS)}"), secret=_base62(secret, _SECRET_CHARS))


def read_key(text: str) -> KeyText | None:
    """Take a key apart; None where it has another form."""
    found = _KEY.fullmatch(text)
    return None if found is None else KeyText(key_id=KeyId(f"key_{found[1]}"), secret=found[2])


def _base62(data: bytes, chars: int) -> str:
    number, digits = int.from_bytes(data, "big"), []
    for _ in range(chars):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
