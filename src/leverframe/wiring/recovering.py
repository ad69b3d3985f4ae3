"""A project's logs taken up again from a backup."""

from functools import partial
from pathlib import Path

from leverframe.domain.contracts import Project
from leverframe.identity.vault import FileVault
from leverframe.ports.store import Recovered
from leverframe.runtime.mint import Mint
from leverframe.runtime.recoveries import recovery_entries
from leverframe.store import recover_sqlite
from leverframe.wiring.assembly import database_path
from leverframe.wiring.clock import SystemClock, SystemEntropy
from leverframe.wiring.people import KEYS_FOLDER, STATE_FOLDER, launcher
from leverframe.wiring.signing import open_signers


def recover_logs(project: Project, because: str) -> tuple[Recovered, ...]:
    """Begin a new epoch of every log that is behind a head that was signed of it; none where none is.

    Raises:
        StoreUnavailable: there is no database, or it cannot be written.
        SignerUnavailable: what the signer remembers cannot be asked.
        EvidenceBroken: what is left of a log is not what was signed of it.
    """
    mint = Mint(clock=SystemClock(), entropy=SystemEntropy())
    return recover_sqlite(
        database_path(project),
        vault=FileVault(Path(project.root) / STATE_FOLDER / KEYS_FOLDER),
        signers=open_signers(project, Path(project.root) / STATE_FOLDER, create=False),
        entries_of=partial(recovery_entries, mint, launcher(), because),
    )
