"""Ids that a vendor gave out for what it keeps: good in the run whose answer brought them, and nowhere else.

Knows: that a vendor looks an id up for whoever has its key, and all tenants of a project call with one key; so an id of
one run, asked for in another, would carry one customer's words to another.  They stand in `model.answered`, so every
worker finds them.  Never: asks the vendor.
"""

from typing import Final

from leverframe.core.canonical import decode
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import RelayCall, WireFormat
from leverframe.runtime.door.relay_run import RelayRun

FIELD: Final = "vendor_ids"
_MARK: Final = b'"vendor_ids"'
_MAX_SHOWN: Final = 80
_FIELDS: Final = {WireFormat.MESSAGES: "thread", WireFormat.CHAT: "messages"}


async def check_ids(run: RelayRun, call: RelayCall) -> None:
    """Look for the ids that a call names among those that answers of its run brought.

    Raises:
        WireRefused: one is of no answer of this run.
    """
    missing = set(call.sealed_ids) - run.vendor_ids
    if not missing:
        return
    leaves = await run.ctx.services.evidence.leaves_of_run(run.ctx.run.tenant, run.ctx.run.run_id)
    for one in leaves:
        if _MARK in one.leaf:
            run.vendor_ids |= _ids_of(one.leaf)
    for one_id in sorted(missing - run.vendor_ids):
        raise WireRefused(
            f"Nothing named {one_id[:_MAX_SHOWN]!r} was answered in {run.ctx.run.run_id}.",
            code="vendor_state",
            param=_FIELDS.get(call.wire, "previous_response_id"),
            status=404,
            next_move="Go on in the run that it was answered in (Leverframe-Run), or send the conversation itself.",
        )


def _ids_of(leaf: bytes) -> set[str]:
    entry = decode(leaf)
    detail = entry.get("detail") if isinstance(entry, dict) else None
    found = detail.get(FIELD) if isinstance(detail, dict) else None
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()
