"""The other end of the shop's control socket: opens shops, asks for their hash, and plants text in their answers.

For the demo and the tests, which must see the shop without the door between.  Each call is one connection, and blocks.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BenchError(Exception):
    """The shop did not do what the bench asked; the message is the shop's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopBench:
    """One running shop.  `control` is the socket of its `--control`."""

    control: Path
    timeout_s: float = 10.0

    def open(self, journal: Path | None = None) -> None:
        """A fresh shop, which remembers in `journal` and begins with what stands there."""
        self._ask("open", *([str(journal)] if journal is not None else []))

    def hash(self) -> str:
        """The hash of its database, by tau2-bench's own function."""
        return str(self._ask("hash"))

    # Any: the arguments are those of the shop's tools.
    def effects(self) -> list[dict[str, Any]]:
        """Every state change since `open`, as `{tool, arguments}`, the replayed ones first."""
        # Any: as above.
        effects: list[dict[str, Any]] = self._ask("effects")
        return effects

    # Any: as above.
    def asked(self) -> list[dict[str, Any]]:
        """Every call that arrived since `open`, reads and refused ones included, in order."""
        # Any: as above.
        asked: list[dict[str, Any]] = self._ask("asked")
        return asked

    def plant(self, order_id: str, text: str) -> None:
        """Put `text` where a customer could have put it, in every later answer about that order."""
        self._ask("plant", order_id, text)

    def pid(self) -> int:
        """The shop's process."""
        return int(self._ask("pid"))

    # Any: JSON, whose shape the word decides.
    def _ask(self, *words: str) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self.timeout_s)
            connection.connect(str(self.control))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(words).encode() + b"\n")
                stream.flush()
                line = stream.readline()
        if not line:
            raise BenchError(f"The shop at {str(self.control)!r} hung up on {words[0]!r}")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise BenchError(f"The shop refused {words!r}: {answer['error']}")
        return answer
