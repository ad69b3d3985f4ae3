"""Who may come in with a token of an issuer, and what such a token was found to say."""

from dataclasses import dataclass
from datetime import datetime

from leverframe.domain.ids import PrincipalId, TenantId, WorkflowName
from leverframe.domain.policy import SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """Where a token says who it is for: a claim's name, or a JSON pointer that begins with `/`; empty: nowhere."""

    principal: str = "sub"
    tenant: str = ""
    workflows: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAccess:
    """The one issuer whose access tokens `/mcp` takes.

    `audience` is our own resource indicator (RFC 8707), which a token must name; `scopes` are all needed;
    `workflows` bounds what any token may use (empty: what its claim says).
    """

    issuer: str
    audience: str
    source: SourceRef
    scopes: tuple[str, ...] = ()
    claims: TokenClaims = TokenClaims()
    workflows: frozenset[WorkflowName] = frozenset()
    allows_private_hosts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Whose token it is, and what it is good for until when.  `subject` is one's at its issuer for ever."""

    issuer: str
    subject: str
    principal: PrincipalId
    tenant: TenantId
    workflows: frozenset[WorkflowName]
    issued_at: datetime
    expires_at: datetime
