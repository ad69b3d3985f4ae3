"""Access tokens of the project's issuer, built where they are asked for: by the process that serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from leverframe.domain.contracts import Project
from leverframe.identity.issuer_keys import IssuerKeys
from leverframe.identity.tokens import IssuerTokens
from leverframe.net.client import HttpClient
from leverframe.ports.clock import Clock
from leverframe.ports.tokens import Tokens


@asynccontextmanager
async def open_tokens(project: Project, clock: Clock) -> AsyncIterator[Tokens | None]:
    """None where the project takes API keys alone."""
    access = project.access
    if access is None:
        yield None
        return
    http = HttpClient()
    keys = IssuerKeys(access.issuer, http, is_private_allowed=access.allows_private_hosts, monotonic=clock.monotonic)
    try:
        yield IssuerTokens(access, keys, project.tenants, clock)
    finally:
        await http.close()
