"""The checks of `leverframe doctor`.  The one place to add one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from leverframe.domain.contracts import Project
from leverframe.identity.issuers import HttpIssuers
from leverframe.identity.secrets import ProjectSecrets
from leverframe.net.client import HttpClient
from leverframe.runtime.doctoring import Check, CredentialScopes


@asynccontextmanager
async def open_checks(project: Project) -> AsyncIterator[Sequence[Check]]:
    """All of them, in the order in which they are made."""
    secrets = ProjectSecrets(Path(project.root))
    issuers = HttpIssuers(HttpClient(), secrets)
    try:
        yield (CredentialScopes(project, secrets, issuers),)
    finally:
        await issuers.close()
