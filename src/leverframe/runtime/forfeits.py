"""What the evidence says of a window that a crash of the machine used up.

Knows: the entry, for the store to write when it opens.  Never: decides how much; the flushed ceiling did (ADR-0007).
"""

from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.ports.store import Forfeited
from leverframe.runtime.mint import Mint


def forfeited_entry(mint: Mint, forfeited: Forfeited) -> EntryDraft:
    """`budget.forfeited` of one window."""
    return EntryDraft(
        entry_id=mint.entry_id(),
        at=mint.now(),
        type=EventType.BUDGET_FORFEITED,
        tenant=forfeited.tenant,
        run_id=forfeited.run_id,
        detail={
            "window_id": forfeited.window_id,
            "unit": forfeited.unit.value,
            "amount": forfeited.amount,
        },
    )
