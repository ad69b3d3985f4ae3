"""`credentials` of the project file: who says what each credential may do."""

from collections.abc import Iterable, Mapping, Sequence

from leverframe.config.findings import Findings, did_you_mean
from leverframe.config.sections import Section
from leverframe.config.tool_specs import LoadedTool
from leverframe.config.yaml_nodes import Scalar
from leverframe.core.scopes import references
from leverframe.core.tenant_references import shared
from leverframe.domain.contracts import McpServer
from leverframe.domain.credentials import CredentialIssuer, SaidBy
from leverframe.domain.ids import TenantId

_TAKES = {
    SaidBy.JWT: frozenset({"said_by"}),
    SaidBy.GITHUB: frozenset({"said_by", "url", "private"}),
    SaidBy.INTROSPECTION: frozenset({"said_by", "url", "private", "client_id", "client_secret"}),
}


def read_issuers(section: Section, findings: Findings) -> Mapping[str, CredentialIssuer]:
    """The issuer of each reference."""
    named = section.named("credentials")
    issuers: dict[str, CredentialIssuer] = {}
    for reference, each in section.named_sections("credentials").items():
        if "said_by" not in each:
            continue
        said_by = SaidBy(each.text("said_by"))
        for key in each.values:
            if key not in _TAKES[said_by]:
                findings.error(
                    each.place(key),
                    "key-without-effect",
                    f"The key {key!r} has no meaning for `said_by: {said_by.value}`.",
                    f"It takes {', '.join(sorted(_TAKES[said_by]))}.",
                )
        if said_by is SaidBy.INTROSPECTION and "url" not in each:
            findings.error(
                named.places[reference],
                "missing-key",
                f"Nothing says where {reference!r} is introspected.",
                "For example: url: https://login.example.com/introspect",
            )
        if each.text("url").startswith("http:") and each.text("private") != "allowed":
            findings.error(
                each.place("url"),
                "plain-http",
                f"The address {each.text('url')!r} is not HTTPS.",
                "Write https://, or add `private: allowed` where the host is in your own network.",
            )
        issuers[reference] = CredentialIssuer(
            said_by=said_by,
            url=each.text("url").rstrip("/"),
            client_id=each.text("client_id"),
            client_secret=each.text("client_secret"),
            allows_private_hosts=each.text("private") == "allowed",
        )
    return issuers


def check_tenants_apart(
    section: Section, tools: Iterable[LoadedTool], tenants: Sequence[TenantId], findings: Findings
) -> None:
    """Report each `{tenant}` that gives two tenants one secret: a variable has no small letters and no hyphen."""
    written: list[Scalar] = []
    for server in section.named_sections("servers").values():
        written += filter(None, [server.scalar("credential"), *server.named_scalars("env").values()])
    written += filter(None, [tool.section.scalar("credential") for tool in tools])
    alike = {each.reference: each for each in shared((one.text for one in written), tenants)}
    for one in written:
        found = alike.get(one.text)
        if found is not None:
            findings.error(
                one.at,
                "tenants-alike",
                f"The tenants {found.other!r} and {found.tenant!r} would both get {found.resolved!r}.",
                "Name them apart in more than capitals and hyphens, or use a source that keeps them apart, a file say.",
            )


def check_credentials(
    section: Section, tools: Iterable[LoadedTool], servers: Mapping[str, McpServer], findings: Findings
) -> None:
    """Report issuers of credentials that no tool has, and scopes of tools that have no credential."""
    known: set[str] = set()
    for tool in tools:
        found = tuple(references(tool.spec, servers))
        known.update(found)
        if tool.spec.scopes and not found:
            findings.error(
                tool.section.place("scopes"),
                "key-without-effect",
                f"{tool.spec.name!r} has no credential that could be allowed anything.",
                "Name one: credential: secret://env/NAME, or delete `scopes`.",
            )
    named = section.named("credentials")
    for reference in named.items:
        if reference not in known:
            findings.error(
                named.places[reference],
                "unknown-credential",
                f"No tool or server is called with {reference!r}.",
                did_you_mean(reference, known),
            )
