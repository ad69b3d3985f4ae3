"""A small log of one run that does everything right, and the bundle of it; tests bend one thing at a time."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core.bundles import BundleParts, build_bundle
from leverframe.core.disclosures import seal
from leverframe.core.leaves import encode_leaf
from leverframe.core.merkle import consistency_proof, extend, inclusion_proof, leaf_hash, root
from leverframe.core.redaction import redaction_of
from leverframe.domain.evidence import Checkpoint, Disclosure, EntryDraft, EventType, TreeState, Withheld
from leverframe.domain.ids import EntryId, RunId, TenantId
from leverframe.domain.json import Json
from leverframe.domain.records import replace
from leverframe.sdk.onefile import verify_py
from leverframe.sdk.report import Leaf
from leverframe.signing.ed25519 import Ed25519FileSigner

ORIGIN, RUN = "leverframe.example/acme", RunId("run_1")
START = datetime(2030, 1, 1, tzinfo=UTC)
POLICY_BYTES = b'{"rules":[]}'
POLICY = sha256(POLICY_BYTES).hexdigest()
WRITE, READ, DENIED = (sha256(name).hexdigest() for name in (b"write", b"read", b"denied"))
KEYS = redaction_of(["email"])
DECIDE_BY, EXECUTE_BY = "2030-01-02T00:00:00.000000Z", "2030-01-01T01:00:00.000000Z"


def salts() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield sha256(number.to_bytes(8, "big")).digest()[:16]


@dataclass
class Log:
    """A log in the making.  `entry` adds; `bundle` signs and packs."""

    key: Ed25519PrivateKey = field(default_factory=lambda: Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    drafts: list[EntryDraft] = field(default_factory=list)
    disclosures: list[Disclosure] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    salts: Iterator[bytes] = field(default_factory=salts)

    # A table of fields is what tests vary; the dataclass still refuses an unknown one.
    def entry(self, kind: EventType, *, value: Json = None, run: RunId | None = RUN, **fields: Any) -> EntryDraft:
        number = len(self.drafts)
        sealed = seal("payload", value, redaction=KEYS, salts=self.salts, token_key=b"run") if value is not None else ()
        draft = EntryDraft(
            entry_id=EntryId(f"ent_{number}"),
            at=START + timedelta(seconds=number),
            type=kind,
            tenant=TenantId("acme"),
            run_id=run,
            disclosures=sealed,
        )
        draft = replace(draft, **fields)
        self.drafts.append(draft)
        self.disclosures += sealed
        return draft

    def index(self, kind: EventType) -> int:
        return next(number for number, draft in enumerate(self.drafts) if draft.type is kind)

    # As above: the fields are what a test varies.
    def change(self, kind: EventType, **fields: Any) -> None:
        self.put(self.index(kind), **fields)

    # As above: the fields are what a test varies.
    def put(self, number: int, **fields: Any) -> None:
        self.drafts[number] = replace(self.drafts[number], **fields)

    # As above: the fields are what a test varies.
    def insert(self, number: int, copy_of: int, **fields: Any) -> None:
        self.drafts.insert(number, replace(self.drafts[copy_of], **fields))

    def leaves(self) -> list[bytes]:
        counts: dict[str, int] = {}
        leaves = []
        for draft in self.drafts:
            if draft.run_id is not None:
                counts[draft.run_id] = counts.get(draft.run_id, 0) + 1
            leaves.append(encode_leaf(draft, counts[draft.run_id] if draft.run_id is not None else None))
        return leaves

    def signer(self) -> Ed25519FileSigner:
        return Ed25519FileSigner(ORIGIN, self.key)

    def head(self, size: int | None = None) -> Checkpoint:
        hashes = [leaf_hash(leaf) for leaf in self.leaves()[:size]]
        return Checkpoint(origin=ORIGIN, size=len(hashes), root=root(extend(TreeState(), hashes).state), at=START)

    def trust(self, size: int | None = None) -> Leaf:
        head = self.head(size)
        return {
            "format": "leverframe-trust/1",
            "origin": ORIGIN,
            "vkey": self.signer().vkey,
            "head": {"size": head.size, "root": base64.b64encode(head.root).decode()},
        }

    # As above: the parts are what a test varies.
    def bundle(self, *, run_id: RunId | None = None, consistency: Sequence[int] = (), **parts: Any) -> dict[str, bytes]:
        leaves = list(enumerate(self.leaves()))
        nodes = {
            (node.level, node.index): node.hash
            for node in extend(TreeState(), [leaf_hash(leaf) for _, leaf in leaves]).nodes
        }

        def get_hash(level: int, index: int) -> bytes:
            return nodes[level, index]

        chosen = [(at, leaf) for at, leaf in leaves if run_id is None or self.drafts[at].run_id == run_id]
        made = BundleParts(
            origin=ORIGIN,
            vkey=self.signer().vkey,
            tenant=TenantId("acme"),
            created_at=START,
            checkpoint=self.signer().sign(self.head()),
            leaves=chosen,
            verify_py=verify_py(),
            run_id=run_id,
            proofs={at: inclusion_proof(at, len(leaves), get_hash) for at, _ in chosen} if run_id else {},
            consistency={size: consistency_proof(size, len(leaves), get_hash) for size in consistency},
            disclosures=self.disclosures,
            withheld=self.withheld,
            policies=[POLICY_BYTES],
        )
        return build_bundle(replace(made, **parts))


def honest() -> Log:
    """A run with a model call, a read, a held and granted refund, a denied call, and a heartbeat."""
    log, event = Log(), EventType
    log.entry(event.LOG_OPENED, run=None, detail={"heartbeat_s": 60})
    log.entry(event.CONFIG_CHANGED, run=None, policy_digest=POLICY)
    log.entry(
        event.RUN_STARTED,
        policy_digest=POLICY,
        value={"message": "refund me at ana@b.org", "email": "ana@b.org"},
        actor="agent:refund",
        detail={"initiators": ("os:jan",), "launcher": "os:maria"},
    )
    _model_call_and_read(log)
    _held_refund(log)
    log.entry(
        event.CALL_DECIDED, step="4", action_digest=DENIED, decision="deny", policy_digest=POLICY, rule="deny_tools"
    )
    log.entry(event.HEARTBEAT, run=None)
    log.entry(event.RUN_ENDED, outcome="success", cost_microusd=700, input_tokens=10, output_tokens=5)
    log.entry(event.LOG_CLOSED, run=None)
    return log


def _model_call_and_read(log: Log) -> None:
    event, reserved, settled = EventType, f"run/{RUN}/usd=900/5000", f"run/{RUN}/usd=700"
    log.entry(
        event.MODEL_CALLED,
        step="1",
        decision="allow",
        policy_digest=POLICY,
        detail={"reservation_id": "rsv_1", "reserved": (reserved,)},
    )
    log.entry(
        event.MODEL_ANSWERED,
        step="1",
        outcome="ok",
        cost_microusd=700,
        input_tokens=10,
        output_tokens=5,
        detail={"reservation_id": "rsv_1", "settled": (settled,)},
    )
    log.entry(event.CALL_DECIDED, step="2", action_digest=READ, decision="allow", policy_digest=POLICY)
    log.entry(
        event.CALL_SETTLED,
        step="2",
        action_digest=READ,
        effect_class="read",
        outcome="ok",
        value={"email": "ana@b.org"},
    )


def _held_refund(log: Log) -> None:
    event = EventType
    # A table of fields, as `entry` takes them.
    call: dict[str, Any] = {"step": "3", "action_digest": WRITE, "tool": "issue_refund"}
    decided, asked = {**call, "policy_digest": POLICY}, {**call, "approval_id": "apr_1"}
    reserved, settled = f"run/{RUN}/tool_calls=1/20", f"run/{RUN}/tool_calls=1"
    log.entry(event.CALL_DECIDED, decision="hold", rule="approval.1", value={"amount_usd": 60}, **decided)
    log.entry(event.APPROVAL_REQUESTED, detail={"quorum": 1, "decide_by": DECIDE_BY, "barred": ("os:eva",)}, **asked)
    # As above.
    answer: dict[str, Any] = {"actor": "person:lena", "detail": {"answer": "granted", "execute_by": EXECUTE_BY}}
    log.entry(event.APPROVAL_DECIDED, value="fine", **answer, **asked)
    log.entry(
        event.CALL_DECIDED,
        decision="allow",
        approval_id="apr_1",
        detail={"reservation_id": "rsv_2", "reserved": (reserved,)},
        **decided,
    )
    log.entry(event.APPROVAL_CONSUMED, **asked)
    log.entry(event.CALL_INTENDED, effect_class="keyed", idempotency_key="idem_1", **asked)
    log.entry(
        event.CALL_SETTLED,
        effect_class="keyed",
        outcome="ok",
        value={"refund": "R1"},
        detail={"reservation_id": "rsv_2", "settled": (settled,)},
        **call,
    )
