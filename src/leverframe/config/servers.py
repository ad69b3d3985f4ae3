"""`servers` of the project file: how each MCP server is reached, and what it may see and ask."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from leverframe.config.findings import Findings, Mark
from leverframe.config.project_files import ProjectFiles
from leverframe.config.registry import SECRET
from leverframe.config.sections import Section
from leverframe.domain.contracts import McpServer, ServerLimits
from leverframe.domain.ids import TenantId

_STATE: Final = ".leverframe"
_OF_PROCESSES: Final = frozenset({"trusted_process", "env", "readable", "writable", "network", "limits"})
_OF_ADDRESSES: Final = frozenset({"private", "credential", "credential_header"})
# Headers that say something else, to the server or to the transport.
_TAKEN: Final = frozenset(
    {"accept", "connection", "content-length", "content-type", "cookie", "host", "last-event-id", "transfer-encoding"}
)
_REFERENCE: Final = "secret://"
_TENANT: Final = "{tenant}"
_OF_SANDBOXES: Final = frozenset({"readable", "writable", "network"})


def read_servers(
    section: Section, files: ProjectFiles, tenants: Sequence[TenantId], findings: Findings
) -> Mapping[str, McpServer]:
    """Every server by name."""
    servers: dict[str, McpServer] = {}
    named = section.named("servers")
    for name, each in section.named_sections("servers").items():
        at = named.places[name]
        _check(name, each, at, findings)
        _check_credentials(name, each, tenants, findings)
        servers[name] = McpServer(
            name=name,
            source=at.ref,
            command=each.texts("mcp"),
            trusted_because=each.section("trusted_process").text("because"),
            env={key: value.text for key, value in each.named_scalars("env").items()},
            readable=_paths(each, findings),
            writable=_writable(each, files, findings),
            has_network=each.text("network") == "allowed",
            limits=_limits(each),
            url=each.text("url").rstrip("/"),
            allows_private_hosts=each.text("private") == "allowed",
            credential=each.text("credential"),
            credential_header=each.text("credential_header"),
            shared_because=each.section("shared_credential").text("because"),
            may_ask=frozenset(each.texts("may_ask")),
            resources=each.texts("resources"),
            prompts=each.texts("prompts"),
        )
    return servers


def _check(name: str, section: Section, at: Mark, findings: Findings) -> None:
    if ("mcp" in section) == ("url" in section):
        findings.error(
            at,
            "missing-key",
            f"The server {name!r} must have either a command or an address.",
            "Write mcp: [COMMAND, WORD] or url: https://HOST/mcp",
        )
    if "url" in section:
        idle, kind = _OF_PROCESSES, "a server with a `url`"
    elif "trusted_process" in section:
        idle, kind = _OF_SANDBOXES | _OF_ADDRESSES, "a trusted process, which has no sandbox"
    else:
        idle, kind = _OF_ADDRESSES, "a server with a command"
    for key in section.values:
        if key in idle:
            findings.error(
                section.place(key), "key-without-effect", f"The key {key!r} has no meaning for {kind}.", "Delete it."
            )
    if section.text("url").startswith("http:") and section.text("private") != "allowed":
        findings.error(
            section.place("url"),
            "plain-http",
            f"The address {section.text('url')!r} is not HTTPS.",
            "Write https://, or add `private: allowed` where the host is in your own network.",
        )
    if section.text("network") == "allowed" and "network" not in idle:
        findings.note(
            section.place("network"),
            "network-unguarded",
            f"The server {name!r} has the network of this machine: what it sends there passes no guard and no record.",
            "Delete it where the server needs none, or reach the server by a `url`.",
        )


def _check_credentials(name: str, section: Section, tenants: Sequence[TenantId], findings: Findings) -> None:
    """A credential is one tenant's, unless a person says why it is everybody's."""
    header = section.text("credential_header").lower()
    if header in _TAKEN or header.startswith("mcp-"):
        findings.error(
            section.place("credential_header"),
            "taken-header",
            f"The header {section.text('credential_header')!r} says something else.",
            "Name the header that the server reads its credential from, such as X-API-Key.",
        )
    if "credential_header" in section and "credential" not in section:
        findings.error(
            section.place("credential_header"),
            "key-without-effect",
            f"The server {name!r} has no credential.",
            "Add credential: secret://env/NAME, or delete it.",
        )
    is_trusted = "trusted_process" in section
    variables = section.named_scalars("env").values()
    references = [*filter(None, [section.scalar("credential")]), *variables]
    for each in (one for one in references if one.text.startswith(_REFERENCE)):
        if each in variables and not is_reference(each.text):
            findings.error(
                each.at, "wrong-form", f"{each.text!r} is no reference.", "For example: secret://env/SHOP_TOKEN"
            )
        elif is_trusted and _TENANT in each.text:
            findings.error(
                each.at,
                "one-process",
                f"The trusted process {name!r} serves all tenants, so it cannot have the credential of one.",
                "Delete `trusted_process`, or name a credential without {tenant}.",
            )
        elif _TENANT not in each.text and len(tenants) > 1 and not (is_trusted or "shared_credential" in section):
            findings.error(
                each.at,
                "shared-credential",
                f"The {len(tenants)} tenants of the project would use one credential of the server {name!r}.",
                'Write {tenant} into the reference, or say why: shared_credential: {because: "..."}',
            )


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference to a secret."""
    return re.fullmatch(SECRET.pattern, text) is not None


def _limits(section: Section) -> ServerLimits | None:
    """What is written, and the defaults beside it; None where nothing is written."""
    if "limits" not in section:
        return None
    written = section.section("limits")
    usual = ServerLimits()
    return ServerLimits(
        memory_mib=written.whole("memory_mib") or usual.memory_mib,
        processes=written.whole("processes") or usual.processes,
        open_files=written.whole("open_files") or usual.open_files,
        file_mib=written.whole("file_mib") or usual.file_mib,
    )


def _paths(section: Section, findings: Findings) -> tuple[str, ...]:
    """Paths that the sandbox shows; the whole machine is no such path."""
    for item in section.scalars("readable"):
        if str(PurePosixPath(item.text)) in {"/", "/root", "/home", "/proc", "/sys", "/dev", "/etc", "/var"}:
            findings.error(
                item.at, "too-wide", f"{item.text!r} holds far more than one server needs.", "Name the folder it needs."
            )
    return section.texts("readable")


def _writable(section: Section, files: ProjectFiles, findings: Findings) -> str:
    """The writable folder, which must not hold the project's own files: they say what may be done."""
    text = section.text("writable")
    if not text:
        return ""
    folder = (files.root / text).resolve()
    root = files.root.resolve()
    kept = [root / one for one in (_STATE, "workflows", "tools", "environments", "prompts")]
    is_over = root.is_relative_to(folder)
    if is_over or any(folder.is_relative_to(one) or one.is_relative_to(folder) for one in kept):
        findings.error(
            section.place("writable"),
            "too-wide",
            f"The folder {text!r} holds files that say what agents may do.",
            "Name a folder of its own, such as data/shop.",
        )
    return text
