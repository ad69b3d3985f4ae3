"""A process that writes until it is killed: `python -m tests.crash.store_worker DATABASE KEY NAME ROUNDS WIDTH`.

Each proposal writes a step, its value, a reservation and two entries, so that a half of it could be seen.  Its name is
printed once its caller was answered.  It ends early when the run is open no more.  At its end it says on standard error
how many seconds its worst write took.
"""

import asyncio
import sys
import time
from pathlib import Path

from leverframe.domain.ids import ReservationId, RunId, StepPath
from leverframe.domain.proposals import (
    CommitResult,
    Committed,
    OpenRun,
    Proposal,
    PutValue,
    RunIs,
    SettleReserves,
)
from leverframe.domain.runs import RunState, StepState
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.store import Store, open_sqlite
from tests.store_samples import ACME, REFUND, RUN, a_run, a_window, an_entry, new_step, taking
from tests.vaults import vault_beside

LIMIT = 10_000_000


def open_signed(database: Path, key: Path) -> Store:
    return open_sqlite(database, create=True, vault=vault_beside(database), signers={ACME: Ed25519FileSigner.load(key)})


def proposal(name: str) -> Proposal:
    """One call, of which every second is settled at once."""
    path = StepPath(name)
    is_settled = name.endswith(("0", "2", "4", "6", "8"))
    settle = SettleReserves(reservation_id=ReservationId(f"rsv_{name}"), actual={})
    return Proposal(
        tenant=ACME,
        guards=(RunIs(run_id=RUN, state=RunState.OPEN),),
        changes=(
            new_step(name, state=StepState.OK),
            PutValue(run_id=RUN, path=path, tool=REFUND, arg="amount", amount=1, value_digest=b"value"),
            taking(f"rsv_{name}"),
            *((settle,) if is_settled else ()),
        ),
        entries=(an_entry(f"ent_{name}_a", step=path), an_entry(f"ent_{name}_b", step=path)),
    )


async def prepare(store: Store) -> None:
    """Open the one run that all workers write to."""
    await store.writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=a_run(), windows=(a_window(LIMIT),)),)))


async def write(store: Store, name: str, rounds: int, width: int) -> None:
    worst_s = 0.0

    async def one(label: str) -> CommitResult:
        nonlocal worst_s
        begun = time.monotonic()
        outcome = await store.writer.commit(proposal(label))
        worst_s = max(worst_s, time.monotonic() - begun)
        if isinstance(outcome, Committed):
            sys.stdout.write(f"{label}\n")
            sys.stdout.flush()
        return outcome

    for number in range(rounds):
        outcomes = await asyncio.gather(*(one(f"{name}.{number}.{place}") for place in range(width)))
        if not any(isinstance(outcome, Committed) for outcome in outcomes):
            break
    sys.stderr.write(f"{worst_s:.3f}\n")


async def main() -> None:
    database, key, name, rounds, width = sys.argv[1:]
    store = open_signed(Path(database), Path(key))
    if await store.journal.run(RunId(RUN)) is None:
        await prepare(store)
    await write(store, name, int(rounds), int(width))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
