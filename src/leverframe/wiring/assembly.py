"""A project with everything it needs to run, opened and closed as one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from leverframe.config.releases import ReleaseFiles
from leverframe.core.token_types import compile_types
from leverframe.domain.contracts import Project
from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.tools import ToolSpec
from leverframe.identity.keys import TenantKeys
from leverframe.identity.secrets import ProjectSecrets
from leverframe.identity.vault import FileVault
from leverframe.ports.acting import ToolExecutor
from leverframe.ports.functions import ProjectFunctions
from leverframe.ports.store import Writer
from leverframe.ports.upstreams import Upstreams
from leverframe.runtime.advance import Runner
from leverframe.runtime.authority import AuthorityCache
from leverframe.runtime.door import Door
from leverframe.runtime.forfeits import forfeited_entry
from leverframe.runtime.logbook import Logbook
from leverframe.runtime.mint import Mint
from leverframe.runtime.retention import prune
from leverframe.runtime.services import Services
from leverframe.store import Store, open_sqlite
from leverframe.store.claims import FileClaims
from leverframe.tools.functions import PythonFunctions
from leverframe.wiring.acting import build_models, build_relay, build_tools, build_upstreams
from leverframe.wiring.clock import SystemClock, SystemEntropy
from leverframe.wiring.people import KEYS_FOLDER, STATE_FOLDER, people_of
from leverframe.wiring.signing import open_signers


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What an entry point works with."""

    project: Project
    services: Services
    door: Door
    runner: Runner
    store: Store
    state: Path
    tools: ToolExecutor
    upstreams: Upstreams
    logbook: Logbook

    async def ready(self, spec: ToolSpec) -> str:
        """Say why a tool cannot be called now; empty when it can.  Starts its server, and calls nothing."""
        return await self.tools.ready(spec)


@asynccontextmanager
async def open_assembly(
    project: Project, *, create: bool, prunes: bool = False, serves: bool = False
) -> AsyncIterator[Assembly]:
    """Open the project's store and adapters; close them in the end, whatever happens.

    Args:
        project: loaded and checked.
        create: make the database and keys where they are missing (`run`, `demo`); reading commands do not.
        prunes: delete what is past its retention, as every command does that goes on with runs; `create` does too.
        serves: pass the model calls of outside agents on.

    Raises:
        StoreUnavailable: there is no database and `create` is false, or it cannot be used.
    """
    root, database = Path(project.root), database_path(project)
    state = root / STATE_FOLDER
    if not create and not database.exists():
        raise _nothing_yet(database)
    clock = SystemClock()
    mint = Mint(clock=clock, entropy=SystemEntropy())
    store = open_sqlite(
        database,
        create=create,
        vault=FileVault(state / KEYS_FOLDER),
        signers=open_signers(project, state, create=create),
        durability=project.durability,
        entry_of=partial(forfeited_entry, mint),
    )
    secrets, functions = ProjectSecrets(root), PythonFunctions(root, _python_files(project))
    upstreams, relay = build_upstreams(project, secrets), build_relay(project, secrets, clock) if serves else None
    tools = build_tools(upstreams, functions, secrets)
    door = Door(tools, build_models(project, secrets, clock), relay)
    logbook = Logbook(store.writer, mint)
    services = _services(project, store, logbook, mint, functions)
    runner = Runner(services=services, door=door, releases=ReleaseFiles(root))
    heartbeat = asyncio.create_task(logbook.keep_time(), name="leverframe-heartbeat")
    freshness = asyncio.create_task(services.authority.keep_fresh(), name="leverframe-authority-refresh")
    try:
        await services.authority.reload()
        if relay is not None:
            await relay.warm()
        if create or prunes:
            await prune(services)
        yield Assembly(
            project=project,
            services=services,
            door=door,
            runner=runner,
            store=store,
            state=state,
            tools=tools,
            upstreams=upstreams,
            logbook=logbook,
        )
    finally:
        heartbeat.cancel()
        freshness.cancel()
        await door.close()
        await logbook.close()
        await store.close()


def _python_files(project: Project) -> Mapping[str, bytes]:
    """Those that the releases pin: what runs under a release is the code that its digest is over."""
    contracts = [contract for each in project.environments.values() for contract in each.values()]
    files = {name: content for one in contracts for name, content in one.artifacts.items()}
    return {name: content for name, content in files.items() if PurePath(name).suffix.lower() == ".py"}


def _nothing_yet(database: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"There is no database at {str(database)!r}; nothing has run in this project yet.",
        next_move="Start a run: leverframe run WORKFLOW --input FILE",
    )


def _services(project: Project, store: Store, writer: Writer, mint: Mint, functions: ProjectFunctions) -> Services:
    state = Path(project.root) / STATE_FOLDER
    return Services(
        project=project,
        people=people_of(project),
        writer=writer,
        journal=store.journal,
        approvals=store.approvals,
        evidence=store.evidence,
        clock=mint.clock,
        mint=mint,
        fingerprints=TenantKeys(state / KEYS_FOLDER),
        functions=functions,
        claims=FileClaims(state / "claims.lock"),
        signers=store.signers,
        types=compile_types(project.types),
        authority=AuthorityCache(store.authority, mint.clock),
    )


def database_path(project: Project) -> Path:
    """Where the project's SQLite database is."""
    return Path(project.root) / project.storage_url.removeprefix("sqlite:")
