"""A process that reserves all at once: `python -m tests.crash.reserve_worker DATABASE NAME COUNT SEED`.

It says `ready`, waits for a line, asks for COUNT reservations of random amounts in two windows, and prints each that it
got as `NAME.number amount`, and the worst wait in seconds at last.
"""

import asyncio
import random
import sys
import time
from pathlib import Path

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import ReservationId, StepPath, WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import Committed, Proposal, TakeReserves
from leverframe.store import Store, open_sqlite
from tests.store_samples import ACME, RUN
from tests.vaults import vault_beside

SHARED, OWN = WindowId("acme/day/2026-03-01"), WindowId("run/run_1")


async def reserve(store: Store, label: str, amount: int, *, is_durable: bool) -> tuple[bool, float]:
    parts = tuple(Reserve(window_id=one, unit=BudgetUnit.TOOL_CALLS.value, amount=amount) for one in (OWN, SHARED))
    take = TakeReserves(reservation_id=ReservationId(f"rsv_{label}"), run_id=RUN, path=StepPath(label), reserves=parts)
    begun = time.monotonic()
    outcome = await store.writer.commit(Proposal(tenant=ACME, changes=(take,), is_durable=is_durable))
    return isinstance(outcome, Committed), time.monotonic() - begun


async def main() -> None:
    database, name, count, seed = sys.argv[1:]
    dice = random.Random(f"{seed} {name}")  # noqa: S311 it chooses amounts, nothing secret
    store = open_sqlite(Path(database), create=False, vault=vault_beside(Path(database)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asked = [(f"{name}.{number}", dice.randrange(1, 9)) for number in range(int(count))]
    found = await asyncio.gather(
        *(reserve(store, label, amount, is_durable=dice.random() < 0.5) for label, amount in asked)
    )
    await store.close()
    for (label, amount), (is_taken, _) in zip(asked, found, strict=True):
        if is_taken:
            sys.stdout.write(f"{label} {amount}\n")
    sys.stdout.write(f"worst {max(wait for _, wait in found):.3f}\n")


if __name__ == "__main__":
    asyncio.run(main())
