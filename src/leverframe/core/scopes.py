"""Whether a credential may do more than its tools need, or less.

Scopes are opaque words, compared whole.  Source: RFC 6749, section 3.3.
"""

from collections.abc import Iterable, Mapping, Sequence

from leverframe.domain.contracts import McpServer
from leverframe.domain.credentials import CredentialGrant, CredentialUse, Diagnosis, Severity
from leverframe.domain.ids import TenantId, ToolName
from leverframe.domain.tools import McpOrigin, McpPart, ToolSpec

_REFERENCE = "secret://"


def uses(tools: Iterable[ToolSpec], servers: Mapping[str, McpServer]) -> Sequence[CredentialUse]:
    """Every reference that a call is made with, and by which tools, in the order of the references."""
    by_reference: dict[str, list[ToolSpec]] = {}
    for spec in tools:
        for reference in dict.fromkeys(references(spec, servers)):
            by_reference.setdefault(reference, []).append(spec)
    return [_use(reference, found) for reference, found in sorted(by_reference.items())]


def references(spec: ToolSpec, servers: Mapping[str, McpServer]) -> Iterable[str]:
    """The credentials of a tool: its own, else its server's, and those of its server's environment."""
    server = servers.get(spec.origin.server) if isinstance(spec.origin, McpOrigin) else None
    if server is not None and (not isinstance(spec.origin, McpOrigin) or spec.origin.part is not McpPart.TOOL):
        # Resources and prompts go with what their server is opened with, and no file says what they need.
        return
    if spec.credential:
        yield spec.credential
    elif server is not None and server.credential:
        yield server.credential
    if server is not None:
        yield from (value for value in server.env.values() if value.startswith(_REFERENCE))


def _use(reference: str, tools: Sequence[ToolSpec]) -> CredentialUse:
    silent = tuple(ToolName(spec.name) for spec in tools if not spec.scopes)
    return CredentialUse(
        reference=reference,
        tools=tuple(spec.name for spec in tools),
        scopes=None if silent else frozenset(scope for spec in tools for scope in spec.scopes),
        silent=silent,
    )


def judged(use: CredentialUse, grant: CredentialGrant, tenant: TenantId | None) -> Sequence[Diagnosis]:
    """What there is to say of one credential."""
    tools = ", ".join(use.tools)
    if grant.unknown_because:
        return [
            Diagnosis(
                severity=Severity.NOTE if grant.is_mute else Severity.UNASKED,
                code="scopes-unknown",
                about=use.reference,
                message=f"What {use.reference!r} may do is not known: {grant.unknown_because}.",
                next_move="Say who knows: `credentials` of leverframe.yaml." if grant.is_mute else "Ask again.",
                tenant=tenant,
            )
        ]
    if use.scopes is None:
        return [
            Diagnosis(
                severity=Severity.NOTE,
                code="scopes-undeclared",
                about=use.reference,
                message=f"{use.reference!r} may do {_list(grant.scopes)}; {', '.join(use.silent)} does not say what it"
                " needs.",
                next_move="Write `scopes` into the file of the tool.",
                tenant=tenant,
                data={"has": tuple(sorted(grant.scopes)), "tools": use.silent},
            )
        ]
    found: list[Diagnosis] = []
    excess, missing = grant.scopes - use.scopes, use.scopes - grant.scopes
    if excess:
        found.append(
            Diagnosis(
                severity=Severity.PROBLEM,
                code="excess-scopes",
                about=use.reference,
                message=f"{use.reference!r} may do {_list(excess)}, which no tool that uses it needs ({tools}).",
                next_move="Replace it by one without that, or write it into `scopes` of the tool that needs it.",
                tenant=tenant,
                data={"excess": tuple(sorted(excess)), "needed": tuple(sorted(use.scopes)), "tools": use.tools},
            )
        )
    if missing:
        found.append(
            Diagnosis(
                severity=Severity.PROBLEM,
                code="missing-scopes",
                about=use.reference,
                message=f"{use.reference!r} may not do {_list(missing)}, which {tools} needs.",
                next_move="Have it granted, or take it out of `scopes`.",
                tenant=tenant,
                data={"missing": tuple(sorted(missing)), "needed": tuple(sorted(use.scopes)), "tools": use.tools},
            )
        )
    return found


def _list(scopes: Iterable[str]) -> str:
    return ", ".join(sorted(scopes)) or "nothing"
