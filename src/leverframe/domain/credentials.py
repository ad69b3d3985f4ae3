"""What credentials there are, who says what each may do, and what of that its tools need."""

from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.domain.ids import TenantId, ToolName
from leverframe.domain.words import Word


class SaidBy(Word):
    """Who says what a credential may do."""

    JWT = "jwt"  # the credential itself: its claims `scope` and `scp`
    GITHUB = "github"  # GitHub, of a classic or OAuth token: the header X-OAuth-Scopes
    INTROSPECTION = "introspection"  # an authorization server, asked as RFC 7662 has it


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialIssuer:
    """Whom to ask about one reference.  `client_secret` is a reference too."""

    said_by: SaidBy
    url: str = ""
    client_id: str = ""
    client_secret: str = ""
    allows_private_hosts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialUse:
    """One reference, and the tools that are called with it; `scopes` is None where one of them does not say."""

    reference: str
    tools: tuple[ToolName, ...]
    scopes: frozenset[str] | None
    silent: tuple[ToolName, ...] = ()  # those that do not say what they need


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialGrant:
    """What an issuer said: the scopes, or why they are not known.  `is_mute`: it never says."""

    scopes: frozenset[str] = frozenset()
    unknown_because: str = ""
    is_mute: bool = False


class Severity(Word):
    """How a finding of `doctor` ends the command: a problem fails it, what could not be asked leaves it open."""

    PROBLEM = "problem"
    UNASKED = "unasked"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One finding.  `about` names the thing, `data` holds the parts of the message for programs."""

    severity: Severity
    code: str
    about: str
    message: str
    next_move: str = ""
    tenant: TenantId | None = None
    data: Mapping[str, tuple[str, ...]] | None = None
