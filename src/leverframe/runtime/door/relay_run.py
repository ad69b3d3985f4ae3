"""An outside agent's run, as far as relayed model calls need it: no steps and no payloads are kept of them.

Knows: how a worker names the steps of such calls, so that no two workers give one name, and so that whoever finds an
unsettled step can tell whether its worker still lives: `k3f9q2-17`, or `@plan.k3f9q2-17` for a step that the agent
named.  A worker holds the claim of its tag for as long as it lives.
"""

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec

from leverframe.core.canonical import decode, encode
from leverframe.core.disclosures import seal_bytes
from leverframe.core.redaction import learn, may_withhold
from leverframe.domain.authority import ApiKey
from leverframe.domain.contracts import Enforce, ModelRef
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import RunId, StepPath, child_path
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import Reserve, RunFacts
from leverframe.domain.proposals import Proposal
from leverframe.domain.relays import RelayCall
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.refusal_tally import RefusalTally
from leverframe.runtime.door.relay_books import KnownBooks

# Values to withhold that a run learned from its calls; what is learned beyond is withheld when the run is exported.
_MOST_LEARNED: Final = 2_000
_MOST_RECORDED_BYTES: Final = 1_048_576
_TAGGED: Final = re.compile(r"(?:.*\.)?([0-9a-z]{8})-[0-9]+")


class RelayAsk(msgspec.Struct, frozen=True, kw_only=True):
    """One relayed call as its surface read it.

    `candidates` are asked in order; `step` is the agent's own name for it, empty without one; `began_at` is when its
    first bytes were here, on the monotonic clock.
    """

    call: RelayCall
    key: ApiKey
    candidates: tuple[ModelRef, ...]
    began_at: float
    step: str = ""
    refused_as: str = ""  # of an observed workflow: why the call would have been refused unread
    lacks: tuple[str, ...] = ()  # and what its contract would have to admit: `pass_fields=novel`
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)  # of the client, names in lower case


@dataclass(slots=True, kw_only=True, eq=False)
class RelayRun:
    """One run in one worker.  `owner` is the worker's tag; `used_at` (monotonic) is of the last call that was allowed.

    `is_over`: it ended, or is to end; the next call that names no run opens another.
    """

    ctx: RunContext
    owner: str
    used_at: float
    is_over: bool = False
    is_left: bool = False  # its key goes on without it once nobody has a call of it in hand
    is_overrun: bool = False  # a vendor took more than it declared: the run is to be stopped
    books: KnownBooks = field(default_factory=KnownBooks)
    is_short: bool = False  # there was no room for its last call
    waiting: int = 0  # calls that wait for room
    refused_at: float = -1.0  # when one was last refused for want of room; monotonic
    standing: deque[asyncio.Future[None]] = field(default_factory=deque)  # calls that let those go first
    refusals: RefusalTally = field(default_factory=RefusalTally)  # of all kinds
    vendor_ids: set[str] = field(default_factory=set)  # of what vendors keep of it, as far as was looked for
    # All runs of a worker share one: a run that it let go of and takes up again gives no name a second time.
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    facts: RunFacts = field(init=False)

    def __post_init__(self) -> None:
        """Lay out what conditions read of it, which no call changes."""
        self.facts = self.ctx.facts

    @property
    def is_observed(self) -> bool:
        """Whether the workflow is only watched."""
        return self.ctx.contract.enforce is Enforce.OBSERVE

    def moved(self, proposal: Proposal, reserves: Sequence[Reserve], began_at: float) -> None:
        """A proposal of a call that has set so much aside was committed; it was proposed at `began_at` (monotonic)."""
        is_followed = bool(self.standing) or self.is_short
        self.books.moved(proposal.changes, reserves, began_at=began_at, is_followed=is_followed)

    def next_path(self, step: str) -> StepPath:
        """The place of a new call, under the agent's own name for the step where it gave one."""
        name = f"{self.owner}-{next(self.numbers)}"
        return child_path(self.ctx.step_name(step), name) if step else StepPath(name)

    def seal(self, name: str, value_bytes: bytes) -> tuple[Disclosure, ...]:
        """Commit to JSON text under the contract's redaction, keep nothing of it, and learn what it withholds."""
        ctx = self.ctx
        is_plain = not may_withhold(value_bytes, ctx.redaction)
        try:
            sealed = self._sealed(name, value_bytes)
            if not is_plain:
                learned = learn(ctx.redaction, decode(value_bytes))
                if len(learned.values) <= _MOST_LEARNED:
                    ctx.redaction = learned
        except JsonInvalid:
            sealed = self._sealed(name, by_digest(value_bytes))
        return sealed

    def _sealed(self, name: str, value_bytes: bytes) -> tuple[Disclosure, ...]:
        ctx = self.ctx
        return seal_bytes(
            name,
            value_bytes,
            redaction=ctx.redaction,
            salts=ctx.services.mint.salts(),
            token_key=ctx.token_key,
        )


def owner_of(path: StepPath) -> str:
    """The tag of the worker that a relayed call's step is of; empty for any other step."""
    found = _TAGGED.fullmatch(path)
    return found[1] if found else ""


def claim_of(owner: str) -> RunId:
    """What a worker holds for as long as it lives.  A claim is on a name; no run has this one."""
    return RunId(f"worker/{owner}")


def recordable(value_bytes: bytes) -> bytes:
    """JSON text as it is recorded: of more than a megabyte its length and SHA-256."""
    return value_bytes if len(value_bytes) <= _MOST_RECORDED_BYTES else by_digest(value_bytes)


def by_digest(value_bytes: bytes) -> bytes:
    """What stands for a text that is not recorded itself."""
    told: JsonObject = {"bytes": len(value_bytes), "sha256": hashlib.sha256(value_bytes).hexdigest()}
    return encode(told)
