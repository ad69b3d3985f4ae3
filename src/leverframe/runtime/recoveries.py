"""What the log says when it goes on from a backup.

Knows: the entries that begin a new epoch: what was given up and why, and which runs may have done more than is known.
Never: decides that a log is behind; the store finds that out (docs/adr/0009-recovery-epochs.md).
"""

from collections.abc import Sequence

from leverframe.core.disclosures import seal
from leverframe.core.redaction import redaction_of
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.ids import PrincipalId
from leverframe.ports.store import Recovered
from leverframe.runtime.mint import Mint


def recovery_entries(mint: Mint, actor: PrincipalId, because: str, recovered: Recovered) -> Sequence[EntryDraft]:
    """`log.recovered`, then a `run.gap` for each run that the backup has open."""
    now, lost = mint.now(), recovered.lost
    first = EntryDraft(
        entry_id=mint.entry_id(),
        at=now,
        type=EventType.LOG_RECOVERED,
        tenant=recovered.tenant,
        actor=actor,
        detail={
            "epoch": recovered.epoch,
            "kept": recovered.kept,
            "lost_origin": lost.origin,
            "lost_size": lost.size,
            "lost_root": lost.root.hex(),
        },
        # There is no run whose key could make the token of a redacted part, and nothing here is redacted.
        disclosures=seal("because", because, redaction=redaction_of(()), salts=mint.salts(), token_key=b""),
    )
    gaps = [
        EntryDraft(
            entry_id=mint.entry_id(),
            at=now,
            type=EventType.RUN_GAP,
            tenant=recovered.tenant,
            run_id=run_id,
            cause=first.entry_id,
            detail={"epoch": recovered.epoch},
        )
        for run_id in recovered.unended
    ]
    return (first, *gaps)
