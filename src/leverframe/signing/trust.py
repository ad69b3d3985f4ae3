"""The trust file: what an auditor holds apart from the log, as JSON.

    {"format": "leverframe-trust/1", "origin": …, "vkey": …, "head": {"size": 812, "root": "<base64>"}}

`head` is the last head seen and is absent before the first.  Kept where the log's owner cannot write, it shows a
rollback; beside the database it shows only that the database was changed without it.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from leverframe.core.notes import SignedHead, VerifierKey, parse_vkey
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe
from leverframe.signing.files import read_trusted, replace

FORMAT = "leverframe-trust/1"
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The key of a log, which names it, and the last head seen."""

    vkey: VerifierKey
    head: SignedHead | None = None

    def advanced(self, head: SignedHead) -> "Trust":
        """The trust after a larger head, whose consistency with the last one the caller has verified.

        Raises:
            EvidenceBroken: it is of another log, smaller than the last one, or equally large with another root.
        """
        last = self.head
        if head.origin != self.vkey.name:
            raise EvidenceBroken(f"The trust file is of the log {self.vkey.name!r}, the head of {head.origin!r}")
        if last is not None and (head.size < last.size or (head.size == last.size and head.root != last.root)):
            raise EvidenceBroken(
                f"The log {head.origin!r} had {last.size} entries when it was last seen and now shows another head of"
                f" {head.size}: it was rolled back or forked."
            )
        return Trust(vkey=self.vkey, head=head)


def load_trust(path: Path) -> Trust:
    """Read a trust file.

    Raises:
        KeyUnsafe: it is missing, other users may change it, or it is not a trust file.
        EvidenceBroken: its key is malformed.
    """
    try:
        data = json.loads(read_trusted(path))
        vkey, head = parse_vkey(data["vkey"]), data.get("head")
        if data["format"] == FORMAT and data["origin"] == vkey.name:
            return Trust(vkey=vkey, head=None if head is None else _head(vkey.name, head["size"], head["root"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise _not_trust(path) from err
    raise _not_trust(path)


def _head(origin: str, size: object, root_text: str) -> SignedHead:
    root = base64.b64decode(root_text, validate=True)
    if not isinstance(size, int) or size < 0 or len(root) != _HASH_BYTES:
        raise ValueError(f"A head is a size and a root of {_HASH_BYTES} bytes, got {size!r} and {root_text!r}")
    return SignedHead(origin=origin, size=size, root=root)


def save_trust(path: Path, trust: Trust) -> None:
    """Replace a trust file as a whole; on disk before this returns."""
    data: dict[str, object] = {"format": FORMAT, "origin": trust.vkey.name, "vkey": str(trust.vkey)}
    if trust.head is not None:
        data["head"] = {"size": trust.head.size, "root": base64.b64encode(trust.head.root).decode()}
    replace(path, (json.dumps(data, indent=1) + "\n").encode())


def _not_trust(path: Path) -> KeyUnsafe:
    return KeyUnsafe(
        f"{str(path)!r} is not a trust file; expected JSON of format {FORMAT!r} with origin, vkey and head.",
        next_move="Take it anew from whoever runs the log.",
    )
