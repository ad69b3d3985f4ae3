"""An answer read while it passes: what goes to the client, what it took, what it said.

Knows: which frames the client did not ask for.  Never: changes a byte of a frame, raises for what a vendor sends, or
passes on half a frame, so that whatever comes after it, an error of ours too, begins where a frame may begin.
Property, kept by tests/property/test_wire_frames.py.
"""

from typing import Final

import msgspec

from leverframe.core.wires.answered import (
    NO_ANSWER,
    begins_answer,
    is_answer,
    tells_failure,
    words_of,
    words_of_choices,
)
from leverframe.core.wires.answers import ChatReading, MessagesReading, Reading, ResponsesReading
from leverframe.core.wires.frames import Frames, payload, value_of
from leverframe.core.wires.halves import read_halves
from leverframe.core.wires.said import NO_MESSAGE
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import NO_USAGE, RelayCall, RelayedAnswer, Usage, WireFormat

# OpenAI's largest answer of embeddings: 2,048 of 3,072 numbers, in base64.  What is larger is paid and not passed on.
MAX_PLAIN_BYTES: Final = 36 << 20
_DONE: Final = b"[DONE]"
_DECODER: Final = msgspec.json.Decoder()


class UsageReader:
    """Reads one answer of a vendor.

        reader = UsageReader(wire, is_stream=True, strips_usage=True)
        for piece in stream: send(reader.feed(piece))
        send(reader.end())
        reader.usage, reader.is_complete, reader.answer

    `usage` is what is known so far, None where nothing is.  `is_complete` says that the answer came to its own end,
    so that `usage` is all of it; where it is False, output beyond it may be billed.  `error` is what the vendor's
    answer says went wrong, complete or not, or what is wrong with it; after `is_broken` nothing more is passed on.
    `is_answer` says that there was something of an answer, and `is_told` that who read what was passed on of a stream
    knows how it ended: the last word of one that is none, or whose error its client cannot read, is kept back where
    `keeps_back` says so, since with it such a stream reads like a good one.
    """

    __slots__ = (
        "_body",
        "_frames",
        "_has_ended",
        "_has_input",
        "_is_failure_told",
        "_keeps_back",
        "_reading",
        "_strips",
        "is_answer",
        "is_broken",
        "is_told",
        "wire",
    )

    def __init__(
        self,
        wire: WireFormat,
        *,
        is_stream: bool,
        strips_usage: bool = False,
        keeps_back: bool = False,
        has_input: bool = True,
    ) -> None:
        self.wire = wire
        self.is_broken = False
        self.is_answer = False
        self.is_told = False
        self._is_failure_told = False
        self._keeps_back = keeps_back
        self._has_input = has_input
        self._strips = strips_usage and wire is WireFormat.CHAT
        self._frames = Frames() if is_stream else None
        self._body = bytearray()
        self._has_ended = False
        self._reading: Reading = _READINGS[wire]()

    @classmethod
    def of(cls, call: RelayCall, *, is_stream: bool | None = None, is_observed: bool = False) -> "UsageReader":
        """For the answer to a call; `is_stream` where the vendor answered otherwise than asked."""
        streams = call.is_stream if is_stream is None else is_stream
        return cls(
            call.wire,
            is_stream=streams,
            strips_usage=not call.wants_usage and not is_observed,
            keeps_back=not is_observed,
            has_input=call.input_bound > 0,
        )

    @property
    def usage(self) -> Usage | None:
        """What the vendor says that it took so far."""
        return self._reading.usage

    @property
    def error(self) -> str:
        """What went wrong, in the vendor's words or ours; empty where nothing did."""
        if self._reading.error or self.is_answer or not self._reading.is_ended:
            return self._reading.error
        return NO_ANSWER

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        return self._reading.is_ended and not self.is_broken

    @property
    def answer(self) -> RelayedAnswer:
        """What it said."""
        return self._reading.said.answer()

    @property
    def ids(self) -> tuple[str, ...]:
        """What it names that the vendor may keep and look up again."""
        return self._reading.ids

    @property
    def said_bytes(self) -> int:
        """How much it said, from above."""
        return self._reading.said.size

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; gives what may go to the client now."""
        if self._frames is None:
            return self._plain(data)
        try:
            frames = self._frames.feed(data)
        except WireRefused as err:
            self._broken(err.message)
            return b""
        if len(frames) == 1:
            return frames[0] if self._takes(frames[0]) else b""
        return b"".join([frame for frame in frames if self._takes(frame)])

    def end(self) -> bytes:
        """The vendor has ended its answer in good order; gives what is left for the client."""
        if self._has_ended or self.is_broken:
            return b""
        self._has_ended = True
        if self._frames is None:
            self._end_plain()
            return b""
        rest = self._frames.end()
        if not rest.strip():
            self._end_without_word()
            return rest
        # A frame whose blank line is missing, or half of one: only what can be read is a frame.
        is_passed = self._takes(rest)
        self._end_without_word()
        return rest if is_passed and not self.is_broken else b""

    def _takes(self, frame: bytes) -> bool:
        """Read a frame; whether it goes to the client."""
        if self.is_broken:
            return False
        data = payload(frame)
        if not data:
            return True
        # Blanks behind it are no part of the word to the vendors' own libraries either.
        if data.rstrip() == _DONE:
            return self._ends()
        try:
            value: object = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = read_halves(data)
            if value is None:
                self._broken("The vendor sent a frame that is not JSON.")
                return False
        if not isinstance(value, dict):
            self._broken("The vendor sent a frame that is not an object.")
            return False
        was_ended = self._reading.is_ended
        is_passed = self._reading.frame(value) or not self._strips
        self.is_answer = self.is_answer or begins_answer(self.wire, value)
        if self._reading.error or b"error" in frame:
            self._fails(frame, value)
        return is_passed if was_ended or not self._reading.is_ended else self._ends()

    def _fails(self, frame: bytes, value: dict[str, object]) -> None:
        """Note an error that is told by the name of its event, or by its kind alone; and whether the client sees it."""
        is_named = value_of(frame, b"event") == b"error"
        is_bare = value.get("type") is None and bool(value.get("error"))
        if is_named or is_bare or value.get("object") == "error":
            self._reading.error = self._reading.error or words_of(value) or NO_MESSAGE
        if self.wire is WireFormat.CHAT:
            self._reading.error = self._reading.error or words_of_choices(value)
        if self._reading.error and tells_failure(self.wire, value, is_named=is_named):
            self._is_failure_told = self.is_told = True

    def _ends(self) -> bool:
        """The last word; whether it goes to the client."""
        self._reading.is_ended = True
        is_known = self._is_failure_told or (self.is_answer and not self._reading.error)
        self.is_told = self.is_told or is_known
        return is_known or not self._keeps_back

    def _plain(self, data: bytes) -> bytes:
        if len(self._body) + len(data) > MAX_PLAIN_BYTES:
            self._broken(f"The vendor's answer has more than {MAX_PLAIN_BYTES:,} bytes.")
        if self.is_broken:
            return b""
        self._body += data
        return data

    def _end_plain(self) -> None:
        try:
            value: object = _DECODER.decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = read_halves(self._body)
            if value is None:
                self._broken("The vendor's answer is not JSON.")
                return
        self._body = bytearray()
        if isinstance(value, dict):
            self._reading.whole(value)
            self.is_answer = is_answer(self.wire, value, has_input=self._has_input)
            if not self.is_answer:
                self._reading.error = self._reading.error or words_of(value)
            if self.wire is WireFormat.COUNT and not self.error:
                self._reading.usage = NO_USAGE
        else:
            self._broken("The vendor's answer is not an object.")

    def _end_without_word(self) -> None:
        """Some servers leave out the last word; a reason to finish and the end of the body say the same."""
        if self._reading.said.finish_reason and not self.error:
            self._reading.is_ended = True
        self.is_told = self.is_told or (self.is_complete and self.is_answer and not self.error)

    def _broken(self, why: str) -> None:
        self.is_broken = True
        self._reading.error = self._reading.error or why


_READINGS: Final[dict[WireFormat, type[ChatReading | ResponsesReading | MessagesReading]]] = {
    WireFormat.CHAT: ChatReading,
    WireFormat.EMBEDDINGS: ChatReading,
    WireFormat.RESPONSES: ResponsesReading,
    WireFormat.MESSAGES: MessagesReading,
    WireFormat.COUNT: MessagesReading,
}
