"""A target that is one function over bytes, and the errors that any of them may answer with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leverframe.domain.errors import LeverframeError
from leverframe.models import openai_wire
from leverframe.net.http1 import Garbled
from leverframe.sdk.verify import Unreadable

# What a parser may raise, beside the one tree of problems.
DECLARED = (LeverframeError, Unreadable, Garbled, openai_wire.Unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """A target of one function over bytes."""

    name: str
    given: Callable[[], Sequence[bytes]]
    parse: Callable[[bytes], object]

    def samples(self) -> Sequence[bytes]:
        """What it reads."""
        return self.given()

    def read(self, data: bytes) -> None:
        """Parse, and let a declared error pass."""
        try:
            self.parse(data)
        except DECLARED:
            return
