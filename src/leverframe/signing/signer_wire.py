"""What a door and a signer process say to each other over their socket.

One request, one answer, each a frame: its length as four bytes, most significant first, then JSON of at most 64 KiB.
Hashes are base64.  Never: does I/O; the two ends do.  Rules: docs/evidence-trust.md.
"""

from typing import Annotated

import msgspec

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 65_536
HASH_BYTES = 32

LogName = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._/-]+$")]
Epoch = Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]
Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Hash = Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
# A consistency proof has at most two hashes a level of the larger tree.
Proof = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=128)]


class AskLog(msgspec.Struct, frozen=True, tag="log", tag_field="ask", forbid_unknown_fields=True):
    """What is known of a log; `create` makes its key where there is none."""

    log: LogName
    create: bool = False


class AskSign(msgspec.Struct, frozen=True, tag="sign", tag_field="ask", forbid_unknown_fields=True):
    """Sign a head; `proof` shows that it continues the one of `proven_from` entries, which was signed last."""

    log: LogName
    epoch: Epoch
    size: Size
    root: Hash
    proven_from: Size = 0
    proof: Proof = ()


class AskBegin(msgspec.Struct, frozen=True, tag="begin", tag_field="ask", forbid_unknown_fields=True):
    """Close the epoch that is open and begin a later one, which goes on from these entries."""

    log: LogName
    epoch: Epoch
    size: Size
    root: Hash


Request = AskLog | AskSign | AskBegin


class KeptHead(msgspec.Struct, frozen=True):
    """A head that was signed last in its epoch."""

    epoch: Epoch
    size: Size
    root: Hash


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a request.  `problem` empty: it was done; else a slug, or `stale` where the proof was of another.

    `closed` are the epochs that were given up, with the last head of each: the newest 16.
    """

    problem: str = ""
    message: str = ""
    vkey: str = ""
    epoch: int = 1
    head: KeptHead | None = None
    closed: tuple[KeptHead, ...] = ()
    note: str = ""


STALE = "stale"

decode_request = msgspec.json.Decoder(Request).decode
decode_answer = msgspec.json.Decoder(Answer).decode
_encode = msgspec.json.Encoder().encode


def frame(message: Request | Answer) -> bytes:
    """A message with its length before it."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def body_bytes(length: bytes) -> int:
    """How long the frame is.  Raises ValueError where it is empty or longer than any message."""
    size = int.from_bytes(length, "big")
    if not 0 < size <= MAX_FRAME_BYTES:
        raise ValueError(f"A frame has 1 to {MAX_FRAME_BYTES} bytes, this one says {size}")
    return size
