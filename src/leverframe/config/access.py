"""`access_tokens` of the project file: the issuer whose tokens `/mcp` takes beside API keys."""

from collections.abc import Mapping, Sequence

from leverframe.config.findings import Findings, did_you_mean
from leverframe.config.sections import Section
from leverframe.domain.access import TokenAccess, TokenClaims
from leverframe.domain.ids import TenantId, WorkflowName


def read_access(section: Section, tenants: Sequence[TenantId], findings: Findings) -> TokenAccess | None:
    """The issuer, or None where there is none."""
    if "access_tokens" not in section:
        return None
    found = section.section("access_tokens")
    claims = found.section("claims")
    if len(tenants) > 1 and "tenant" not in claims:
        findings.error(
            claims.at,
            "missing-key",
            f"The project has {len(tenants)} tenants, and nothing says whose a token is.",
            "For example: claims: {tenant: org}",
        )
    if "workflows" not in found and "workflows" not in claims:
        findings.error(
            found.at,
            "missing-key",
            "Nothing says which workflows a token may use.",
            "Name them: workflows: [refund_request], or the claim that does: claims: {workflows: roles}",
        )
    is_private = found.text("private") == "allowed"
    if found.text("issuer").startswith("http:") and not is_private:
        findings.error(
            found.place("issuer"),
            "plain-http",
            f"The address {found.text('issuer')!r} is not HTTPS.",
            "Write https://, or add `private: allowed` where the host is in your own network.",
        )
    return TokenAccess(
        issuer=found.text("issuer"),
        audience=found.text("audience"),
        source=section.place("access_tokens").ref,
        scopes=found.texts("scopes"),
        claims=TokenClaims(
            principal=claims.text("principal", "sub"), tenant=claims.text("tenant"), workflows=claims.text("workflows")
        ),
        workflows=frozenset(WorkflowName(name) for name in found.texts("workflows")),
        allows_private_hosts=is_private,
    )


def check_access(section: Section, workflows: Mapping[WorkflowName, object], findings: Findings) -> None:
    """Report workflows that the project does not have: no token could use them."""
    for each in section.section("access_tokens").scalars("workflows"):
        if each.text not in workflows:
            findings.error(
                each.at,
                "unknown-workflow",
                f"Tokens may use the workflow {each.text!r}, which no contract describes.",
                did_you_mean(each.text, workflows),
            )
