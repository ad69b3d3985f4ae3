"""Whoever comes with an issuer's token, as a caller: what an API key of that person would be, and nothing that is kept.

Knows: that one subject of one issuer is one caller of one tenant, whatever tokens it has.  Never: gives a token more
than the calls of its workflows: it opens no runs for others.
"""

import base64
from datetime import timedelta
from hashlib import sha256
from typing import Final

from leverframe.core import canonical
from leverframe.domain.access import Identified
from leverframe.domain.authority import NO_TEAM, ApiKey, KeyScope
from leverframe.domain.contracts import Project
from leverframe.domain.errors import TokenRefused
from leverframe.domain.ids import KeyId, PrincipalId, Sha256
from leverframe.runtime.live_runs import Caller

PREFIX: Final = "oidc_"
_ID_CHARS: Final = 26  # 130 bits


def caller_of(found: Identified, project: Project) -> Caller:
    """The caller of a token that was found to be good.

    Raises:
        TokenRefused: it names no workflow of the project.
    """
    workflows = frozenset(name for name in found.workflows if name in project.contracts)
    if not workflows:
        raise TokenRefused(why="it names no workflow of this project")
    person = PrincipalId(f"person:{found.principal}")
    key_id = caller_id(found)
    key = ApiKey(
        key_id=key_id,
        tenant=found.tenant,
        team=NO_TEAM,
        name=key_id,
        secret_sha256=Sha256(""),
        workflows=workflows,
        environments=frozenset(project.contracts[name].environments[0] for name in workflows),
        scopes=frozenset({KeyScope.CALL}),
        # A person of the project is that person to approvals too: nobody answers what they asked for themselves.
        owner=person if person in project.people else PrincipalId(f"oidc:{found.principal}"),
        created_at=min(found.issued_at, found.expires_at - timedelta(seconds=1)),
        expires_at=found.expires_at,
    )
    return Caller(key=key)


def caller_id(found: Identified) -> KeyId:
    """The same for every token of a subject: what budgets, kill switches and runs know it by."""
    whole = canonical.encode([found.issuer, found.tenant, found.subject])
    text = base64.b32encode(sha256(whole).digest()).decode().lower()
    return KeyId(f"{PREFIX}{text[:_ID_CHARS]}")
