"""What the demo promises, and what of it did not hold: the exit code rests on this and on nothing that was printed."""

from dataclasses import dataclass, field


class NotShown(Exception):
    """Something got in the way, and a part could not be shown at all; the message says what."""


@dataclass(slots=True)
class Promises:
    """Collects each promise that was broken, in the words in which it is told at the end."""

    broken: list[str] = field(default_factory=list)
    kept: int = 0

    def expect(self, claim: str, saw: object, wanted: object) -> None:
        """Hold what was seen against what was promised."""
        if saw == wanted:
            self.kept += 1
        else:
            self.broken.append(f"{claim}: expected {wanted!r}, saw {saw!r}")
