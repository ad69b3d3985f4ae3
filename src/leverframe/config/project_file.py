"""`leverframe.yaml`: storage, people, providers, tiers, servers, typed tokens; `config.budgets` reads its budgets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from leverframe.config.access import read_access
from leverframe.config.budgets import WrittenBudget, read_budgets, read_zones
from leverframe.config.credentials import read_issuers
from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.patterns import pattern_problem
from leverframe.config.project_files import ProjectFiles
from leverframe.config.sections import Section, check_file
from leverframe.config.servers import read_servers
from leverframe.domain.access import TokenAccess
from leverframe.domain.contracts import McpServer, ModelRef, Person, Provider, Wire
from leverframe.domain.credentials import CredentialIssuer
from leverframe.domain.ids import PrincipalId, TenantId
from leverframe.domain.policy import SourceRef

PROJECT_FILE = "leverframe.yaml"
DEFAULT_TENANT = TenantId("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """What the project file says, before any contract is looked at."""

    tenants: tuple[TenantId, ...] = (DEFAULT_TENANT,)
    people: Mapping[PrincipalId, Person]
    providers: Mapping[str, Provider]
    tiers: Mapping[str, tuple[ModelRef, ...]]
    tier_sources: Mapping[str, SourceRef]
    servers: Mapping[str, McpServer]
    types: Mapping[str, str]
    storage_url: str
    durability: str
    signer: str
    budgets: tuple[WrittenBudget, ...]
    zones: Mapping[TenantId, tzinfo]
    access: TokenAccess | None
    credential_issuers: Mapping[str, CredentialIssuer]
    section: Section


def read_project_file(files: ProjectFiles, findings: Findings) -> ProjectFile | None:
    """Read and check it; None where it is no map of keys at all."""
    node = files.yaml(PROJECT_FILE, findings)
    section = None if node is None else check_file(node, "project", findings, needs=())
    if section is None:
        return None
    tenants = tuple(TenantId(name) for name in section.named("tenants").items) or (DEFAULT_TENANT,)
    providers = _providers(section, files, findings)
    tiers = _tiers(section, providers, findings)
    models = {*providers, *(str(model) for tier in tiers.values() for model in tier)}
    storage = section.section("storage")
    return ProjectFile(
        tenants=tenants,
        people=_people(section, tenants, findings),
        providers=providers,
        tiers=tiers,
        tier_sources={name: place.ref for name, place in section.named("models").places.items()},
        servers=read_servers(section, files, tenants, findings),
        types=_types(section, findings),
        storage_url=storage.text("url", "sqlite:.leverframe/leverframe.db"),
        durability=storage.text("durability", "grouped"),
        signer=section.section("evidence").text("signer"),
        budgets=read_budgets(section, tenants, models, findings),
        zones=read_zones(section, findings),
        access=read_access(section, tenants, findings),
        credential_issuers=read_issuers(section, findings),
        section=section,
    )


def principal_of(name: str) -> PrincipalId:
    """A person as the rest of the system names them: `lena` is `person:lena`, `os:maria` stays."""
    return PrincipalId(name if ":" in name else f"person:{name}")


def _people(section: Section, tenants: tuple[TenantId, ...], findings: Findings) -> Mapping[PrincipalId, Person]:
    people: dict[PrincipalId, Person] = {}
    for name, person in section.named_sections("people").items():
        works_for = person.scalars("tenants")
        for tenant in works_for:
            if tenant.text not in tenants:
                findings.error(
                    tenant.at,
                    "unknown-tenant",
                    f"{name!r} works for {tenant.text!r}, which `tenants` does not list.",
                    did_you_mean(tenant.text, tenants),
                )
        principal = principal_of(name)
        people[principal] = Person(
            id=principal,
            groups=frozenset(person.texts("groups")),
            tenants=frozenset(TenantId(each.text) for each in works_for) or frozenset(tenants),
            roles=frozenset(person.texts("roles")),
        )
    return people


def _providers(section: Section, files: ProjectFiles, findings: Findings) -> Mapping[str, Provider]:
    providers: dict[str, Provider] = {}
    for name, each in section.named_sections("providers").items():
        if "wire" not in each:
            continue
        provider = Provider(
            name=name,
            wire=Wire(each.text("wire")),
            source=section.named("providers").places[name].ref,
            url=each.text("url").rstrip("/"),
            key=each.text("key"),
            allows_private_hosts=each.text("private") == "allowed",
            api_version=each.text("api_version"),
            file=each.text("file"),
            priced_as={model: one.text for model, one in each.named_scalars("priced_as").items()},
        )
        _check_provider(provider, each, section.named("providers").places[name], files, findings)
        providers[name] = provider
    return providers


_TAKES = {
    Wire.OPENAI: frozenset({"wire", "url", "key", "private", "api_version", "priced_as"}),
    Wire.ANTHROPIC: frozenset({"wire", "url", "key", "private", "priced_as"}),
    Wire.LOCAL: frozenset({"wire"}),
    Wire.RECORDED: frozenset({"wire", "file"}),
}


def _check_provider(provider: Provider, section: Section, at: Mark, files: ProjectFiles, findings: Findings) -> None:
    wire = provider.wire
    for key in section.values:
        if key not in _TAKES[wire]:
            findings.error(
                section.place(key),
                "key-without-effect",
                f"The key {key!r} has no meaning for a provider with `wire: {wire.value}`.",
                f"It takes {', '.join(sorted(_TAKES[wire]))}.",
            )
    if wire is Wire.RECORDED and not provider.file:
        findings.error(
            at,
            "missing-key",
            f"The recorded provider {provider.name!r} names no file.",
            "For example: file: recordings/refund_request.jsonl",
        )
    if wire is Wire.RECORDED and provider.file and not files.exists(provider.file):
        findings.error(
            section.place("file"), "missing-file", f"The recording {provider.file!r} is not there.", "Mend its name."
        )
    if wire in {Wire.OPENAI, Wire.ANTHROPIC} and not provider.key and not provider.url:
        findings.error(
            at,
            "missing-key",
            f"The provider {provider.name!r} has neither a key nor a url of its own.",
            f"For example: key: secret://env/{wire.value.upper()}_API_KEY",
        )
    if provider.url.startswith("http:") and not provider.allows_private_hosts:
        findings.error(
            section.place("url"),
            "plain-http",
            f"The address {provider.url!r} is not HTTPS.",
            "Write https://, or add `private: allowed` where the host is in your own network.",
        )


def _tiers(
    section: Section, providers: Mapping[str, Provider], findings: Findings
) -> Mapping[str, tuple[ModelRef, ...]]:
    tiers: dict[str, tuple[ModelRef, ...]] = {}
    for tier, items in section.named("models").items.items():
        models = []
        for item in items if isinstance(items, tuple) else ():
            text = getattr(item, "text", "")
            provider, _, model = text.partition("/")
            if provider not in section.named("providers").places:
                findings.error(
                    item.at if not isinstance(item, tuple) else section.place("models"),
                    "unknown-provider",
                    f"The tier {tier!r} uses the provider {provider!r}, which `providers` does not list.",
                    did_you_mean(provider, providers) or f"Add it: providers: {{{provider}: {{wire: …}}}}",
                )
            models.append(ModelRef(provider=provider, model=model))
        tiers[tier] = tuple(models)
    return tiers


def _types(section: Section, findings: Findings) -> Mapping[str, str]:
    types: dict[str, str] = {}
    for name, each in section.named_sections("types").items():
        pattern = each.scalar("pattern")
        if pattern is None:
            continue
        problem = pattern_problem(pattern.text)
        if problem:
            findings.error(
                pattern.at,
                "bad-pattern",
                f"The pattern of {name!r} is not a linear-time (RE2) pattern: {problem}.",
                "Look-around and back-references are not in it.",
            )
        else:
            types[name] = pattern.text
    return types
