"""What an answer says, gathered for the record while it passes, and the numbers that vendors write beside it.

Knows: that a count is a whole number, zero included, and that anything else is no count.  Never: makes one up.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from leverframe.core.wires.halves import mended
from leverframe.domain.relays import RelayedAnswer, RelayedToolUse

MAX_RECORDED_CHARS: Final = 1 << 20
NO_MESSAGE: Final = "an error without a message"
_MAX_COUNT: Final = 1 << 36  # hundreds of times what any vendor takes of anything


class Said:
    """The texts and tool uses of one answer, piece by piece, cut at `MAX_RECORDED_CHARS`."""

    __slots__ = ("_aside", "_left", "_texts", "_uses", "finish_reason")

    def __init__(self) -> None:
        self.finish_reason = ""
        self._aside = 0
        self._left = MAX_RECORDED_CHARS
        self._texts: dict[object, list[str]] = {}
        # Id, name and arguments, in pieces: a text that grows with each of them is copied as often.
        self._uses: dict[object, tuple[list[str], list[str], list[str]]] = {}

    def text(self, choice: object, piece: object) -> None:
        """More text of a choice."""
        if isinstance(piece, str) and piece:
            self._left -= len(piece)
            if self._left >= 0:
                self._texts.setdefault(choice, []).append(piece)

    def tool_use(self, place: object, *, id_: object = None, name: object = None, arguments: object = None) -> None:
        """More of a tool use; the id and the name come once, the arguments in pieces."""
        use = self._uses.get(place)
        if use is None:
            use = [], [], []
            if len(self._uses) < _MAX_USES:
                self._uses[place] = use
        for known, piece in zip(use, (id_, name, arguments), strict=True):
            if isinstance(piece, str) and piece:
                self._left -= len(piece)
                if self._left >= 0:
                    known.append(piece)

    def aside(self, piece: object) -> None:
        """What was said and is not recorded, as the thinking that some servers show."""
        if isinstance(piece, str):
            self._aside += len(piece) * _MOST_BYTES

    def sound(self, piece: Mapping[str, object]) -> None:
        """What was said aloud, which is not recorded."""
        data = piece.get("data")
        if isinstance(data, str):
            self._aside += -(-len(data) // _CHARS_OF_SOUND)
        self.aside(piece.get("transcript"))

    @property
    def size(self) -> int:
        """All that was said, in bytes; from above where not all of it was kept."""
        of_uses = chain.from_iterable(self._uses.values())
        kept = chain.from_iterable((*self._texts.values(), *of_uses))
        return sum(len(piece.encode("utf-8", "surrogatepass")) for piece in kept) + self._aside + self._lost()

    def _lost(self) -> int:
        # What was cut is not kept, and the piece that it was cut in may be as long as a frame.
        return (MAX_RECORDED_CHARS - self._left) * _MOST_BYTES if self._left < 0 else 0

    def finish(self, reason: object) -> None:
        """Why it ended; the last word counts."""
        if isinstance(reason, str) and reason:
            self.finish_reason = reason[:64]

    def answer(self) -> RelayedAnswer:
        """All of it."""
        uses = ((mended("".join(pieces)) for pieces in use) for use in self._uses.values())
        return RelayedAnswer(
            text=mended("\n\n".join("".join(pieces) for pieces in self._texts.values())),
            tool_uses=tuple(RelayedToolUse(id=id_, name=name, arguments=arguments) for id_, name, arguments in uses),
            finish_reason=mended(self.finish_reason),
            is_cut=self._left < 0,
        )


_MAX_USES: Final = 1024
_MOST_BYTES: Final = 4  # of one character in UTF-8
# Of base64 for each token of text, from above: 20 tokens of sound a second, at up to eight times the price of text, in
# no coding below 32,000 bits a second.
_CHARS_OF_SOUND: Final = 32


def count(value: object) -> int | None:
    """A count of a vendor; None where it is none."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    # The bound keeps prices, and sums of a thousand of them, within what a database holds.
    return value if is_whole and isinstance(value, int) and 0 <= value < _MAX_COUNT else None


def counted(fields: object, name: str) -> int:
    """A count inside an object; zero where either is not there."""
    return (count(fields.get(name)) or 0) if isinstance(fields, dict) else 0


def are_counts(fields: object, names: Iterable[str]) -> bool:
    """Whether each of these is a count, as far as it is told."""
    told = fields if isinstance(fields, dict) else {}
    return all(told.get(name) is None or count(told[name]) is not None for name in names)


def compacted(usage: Mapping[str, object]) -> Mapping[str, object]:
    """The usage of an Anthropic answer with what compacting the conversation took, which its totals leave out."""
    iterations = usage.get("iterations")
    found = [
        one
        for one in (iterations if isinstance(iterations, list) else ())
        if isinstance(one, dict) and one.get("type") == "compaction"
    ]
    told = dict(usage)
    for one in found:
        # Without the totals nobody has counted the answer itself.
        told |= _summed(told, one, (*(name for name in _TOTALS if told.get(name) is not None), *_OF_CACHES))
        outer, inner = told.get(_KEPT), one.get(_KEPT)
        if isinstance(inner, dict):
            known = outer if isinstance(outer, dict) else {}
            told[_KEPT] = {**known, **_summed(known, inner, inner)}
    return told


_KEPT: Final = "cache_creation"
_TOTALS: Final = ("input_tokens", "output_tokens")
_OF_CACHES: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")


def _summed(totals: Mapping[str, object], more: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """The counts of both together; what is no count in one of them is none together."""
    summed: dict[str, object] = {}
    for name in names:
        if (added := more.get(name)) is not None:
            known = totals.get(name)
            first, second = count(known if known is not None else 0), count(added)
            summed[name] = first + second if first is not None and second is not None else _NO_COUNT
    return summed


_NO_COUNT: Final = -1


def error_text(value: object) -> str:
    """What an error in an answer says; empty where there is none."""
    if not value:
        return ""
    if isinstance(value, dict):
        message = value.get("message")
        return mended(message[:500]) if isinstance(message, str) and message else NO_MESSAGE
    return mended(value[:500]) if isinstance(value, str) else NO_MESSAGE
