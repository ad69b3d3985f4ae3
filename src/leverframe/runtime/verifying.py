"""Holding entries of the log against its signed head, now.

Knows: which stored hashes a proof takes, and what a proof says.  Never: trusts a stored hash: a proof of wrong hashes
does not lead to the root that was signed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from leverframe.core import merkle
from leverframe.core.notes import SignedHead, open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.ids import TenantId
from leverframe.ports.store import LoggedLeaf
from leverframe.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Whether entries are in the log as it was signed.  `problem` empty: each one is, by its own proof."""

    checked: int = 0
    size: int = 0  # of the signed head
    origin: str = ""
    problem: str = ""


async def check_inclusion(services: Services, tenant: TenantId, leaves: Sequence[LoggedLeaf]) -> Inclusion:
    """Prove each of these entries to the signed head of their log."""
    try:
        head = await signed_head(services, tenant)
    except EvidenceBroken as err:
        return Inclusion(problem=err.message)
    get = stored_hashes(services, tenant)
    for leaf in leaves:
        where = f"entry {leaf.index}"
        if leaf.index >= head.size:
            return Inclusion(size=head.size, origin=head.origin, problem=f"{where} is not signed yet")
        try:
            proof = await inclusion_proof(get, leaf.index, head.size)
        except ValueError as err:
            return Inclusion(size=head.size, origin=head.origin, problem=f"{where} cannot be proven: {err}")
        if not merkle.verify_inclusion(merkle.leaf_hash(leaf.leaf), leaf.index, head.size, proof, head.root):
            return Inclusion(size=head.size, origin=head.origin, problem=f"{where} is not what was signed")
    return Inclusion(checked=len(leaves), size=head.size, origin=head.origin)


async def signed_head(services: Services, tenant: TenantId) -> SignedHead:
    """The newest head of a log, its signature verified under the key beside the database.

    Raises:
        EvidenceBroken: there is no key, no head, or the head is not signed by that key.
    """
    return (await signed_note(services, tenant))[0]


async def signed_note(services: Services, tenant: TenantId) -> tuple[SignedHead, bytes]:
    """That head, and the note that it is out of: read twice, there may be a newer one.

    Raises:
        EvidenceBroken: as `signed_head`.
    """
    signer, note = services.signers.get(tenant), await services.evidence.checkpoint(tenant)
    if signer is None:
        raise EvidenceBroken(f"The key of the log of {tenant!r} is not here, so nothing can be held against it.")
    if note is None:
        raise EvidenceBroken(f"The log of {tenant!r} has no signed head yet.")
    return open_checkpoint(note, parse_vkey(signer.vkey)), note


StoredHash = Callable[[int, int], Awaitable[bytes]]


def stored_hashes(services: Services, tenant: TenantId) -> StoredHash:
    """The stored hashes of one log's tree, each read once."""
    known: dict[tuple[int, int], bytes] = {}

    async def get(level: int, index: int) -> bytes:
        if (level, index) not in known:
            known[level, index] = await services.evidence.node_hash(tenant, level, index)
        return known[level, index]

    return get


async def inclusion_proof(get: StoredHash, index: int, size: int) -> tuple[bytes, ...]:
    """The proof that an entry is number `index` of the first `size`.  Raises ValueError where hashes are missing."""
    places = merkle.nodes_used(lambda source: merkle.inclusion_proof(index, size, source))
    hashes = {place: await get(*place) for place in places}
    return merkle.inclusion_proof(index, size, lambda level, at: hashes[level, at])


async def consistency_proof(get: StoredHash, old: int, size: int) -> tuple[bytes, ...]:
    """The proof that the first `old` entries begin the first `size`.  Raises ValueError where hashes are missing."""
    places = merkle.nodes_used(lambda source: merkle.consistency_proof(old, size, source))
    hashes = {place: await get(*place) for place in places}
    return merkle.consistency_proof(old, size, lambda level, at: hashes[level, at])


async def check_continues(services: Services, tenant: TenantId, seen: SignedHead, head: SignedHead) -> None:
    """Prove that a log continues a head that was seen of it before.

    Raises:
        EvidenceBroken: it does not: it was cut, rolled back, forked or rewritten.
    """
    move = "Stop every writer, keep both as they are, and run `leverframe evidence verify --trust FILE`."
    if head.size < seen.size:
        raise EvidenceBroken(
            f"The log {head.origin!r} has {head.size} entries, and {seen.size} were seen: cut or rolled back.",
            next_move=move,
        )
    try:
        proof = await consistency_proof(stored_hashes(services, tenant), seen.size, head.size)
    except ValueError:
        proof = ()
    if not merkle.verify_consistency(seen.size, seen.root, head.size, head.root, proof):
        raise EvidenceBroken(
            f"The first {seen.size} entries of the log {head.origin!r} are not those that were seen: forked or"
            " rewritten.",
            next_move=move,
        )
