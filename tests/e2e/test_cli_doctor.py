"""`leverframe doctor`: a credential that may do more than its tools need is named, by whoever can say so."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from leverframe.testing.issuer import LoopbackIssuer
from leverframe.testing.loopback import Asked, LoopbackServer, Served
from tests.typed import Shell

TOKEN, OTHER, CLIENT = "sk-doctor-0123456789", "sk-other-0123456789", "sk-client-0123456789"
OBJECT = {"type": "object"}


@dataclass(slots=True)
class GitHub:
    """What GitHub says of a token, and to whom."""

    scopes: str | None = "repo, read:org"
    status: int = 200
    asked: str = ""
    url: str = ""

    def answer(self, asked: Asked) -> Served:
        self.asked = asked.headers.get("authorization", "")
        headers = {} if self.scopes is None else {"X-OAuth-Scopes": self.scopes}
        return Served(status=self.status, headers=headers, body=json.dumps({"echo": self.asked}).encode())


@pytest.fixture
def github() -> Iterator[GitHub]:
    found = GitHub()
    with LoopbackServer(found.answer) as server:
        found.url = server.url
        yield found


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer() as found:
        yield found


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name, value in (("SHOP", TOKEN), ("SHOP_ACME", TOKEN), ("SHOP_GLOBEX", OTHER), ("CLIENT", CLIENT)):
        monkeypatch.setenv(name, value)
    (tmp_path / "desk").mkdir()
    return Shell(tmp_path / "desk", capsys, monkeypatch)


def write(
    root: Path,
    *,
    said_by: Mapping[str, object] | None = None,
    scopes: Mapping[str, list[str]],
    credential: str = "secret://env/SHOP",
    tenants: tuple[str, ...] = ("default",),
) -> None:
    server = {"url": "https://mcp.example.com/mcp", "credential": credential}
    project: dict[str, object] = {"servers": {"shop": server}, "tenants": {name: {} for name in tenants}}
    if said_by is not None:
        project["credentials"] = {credential: said_by}
    (root / "tools").mkdir(exist_ok=True)
    (root / "workflows").mkdir(exist_ok=True)
    (root / "leverframe.yaml").write_text(json.dumps(project))
    for name, needed in scopes.items():
        tool = {"tool": name, "from": {"mcp": "shop", "name": name}, "effect": "read", "input": OBJECT}
        (root / "tools" / f"{name}.yaml").write_text(json.dumps(tool | ({"scopes": needed} if needed else {})))
    (root / "workflows" / "desk.yaml").write_text(
        json.dumps({"workflow": "desk", "policy": {"allow_tools": list(scopes)}})
    )


def findings(out: str) -> list[tuple[str, str, str | None, dict[str, list[str]]]]:
    (check,) = json.loads(out)["checks"]
    assert check["name"] == "credential-scopes"
    return [(one["severity"], one["code"], one["tenant"], one["data"]) for one in check["findings"]]


def by_introspection(issuer: LoopbackIssuer) -> dict[str, object]:
    return {
        "said_by": "introspection",
        "url": f"{issuer.url}/introspect",
        "client_id": "desk",
        "client_secret": "secret://env/CLIENT",
        "private": "allowed",
    }


def test_a_credential_that_may_do_more_than_all_its_tools_need_is_named(shell: Shell, issuer: LoopbackIssuer) -> None:
    issuer.scopes_of[TOKEN] = "orders:read refunds:write admin"
    needed = {"look_up": ["orders:read"], "refund": ["refunds:write", "orders:read"]}
    write(shell.root, said_by=by_introspection(issuer), scopes=needed)

    typed = shell.type("doctor")
    as_json = shell.type("doctor", "--json")

    assert typed.code == as_json.code == 1
    assert "excess-scopes" in typed.out
    assert "'secret://env/SHOP' may do admin, which no tool that uses it needs (look_up, refund)" in typed.out
    excess = {"excess": ["admin"], "needed": ["orders:read", "refunds:write"], "tools": ["look_up", "refund"]}
    assert findings(as_json.out) == [("problem", "excess-scopes", None, excess)]
    for said in (typed.out, typed.err, as_json.out):
        assert TOKEN not in said
        assert CLIENT not in said


def test_one_that_may_do_just_what_is_needed_is_well(shell: Shell, issuer: LoopbackIssuer) -> None:
    issuer.scopes_of[TOKEN] = "orders:read"
    write(shell.root, said_by=by_introspection(issuer), scopes={"look_up": ["orders:read"]})

    typed = shell.type("doctor")

    assert (typed.code, typed.out) == (0, "credential-scopes: 1 looked at, 0 wrong\n")


def test_one_that_may_do_less_is_named_too(shell: Shell, issuer: LoopbackIssuer) -> None:
    issuer.scopes_of[TOKEN] = ""
    write(shell.root, said_by=by_introspection(issuer), scopes={"look_up": ["orders:read"]})

    typed = shell.type("doctor", "--json")

    assert typed.code == 1
    assert [one[:2] for one in findings(typed.out)] == [("problem", "missing-scopes")]


def test_each_tenants_own_credential_is_asked_about_by_itself(shell: Shell, issuer: LoopbackIssuer) -> None:
    issuer.scopes_of |= {TOKEN: "orders:read", OTHER: "orders:read admin"}
    write(
        shell.root,
        said_by=by_introspection(issuer),
        scopes={"look_up": ["orders:read"]},
        credential="secret://env/SHOP_{tenant}",
        tenants=("acme", "globex"),
    )

    typed = shell.type("doctor", "--json")

    assert typed.code == 1
    assert [one[1:3] for one in findings(typed.out)] == [("excess-scopes", "globex")]


def test_github_says_it_in_a_header_and_is_asked_with_the_token_itself(shell: Shell, github: GitHub) -> None:
    said_by = {"said_by": "github", "url": github.url, "private": "allowed"}
    write(shell.root, said_by=said_by, scopes={"list_repos": ["repo"]})

    typed = shell.type("doctor", "--json")
    assert typed.code == 1
    assert findings(typed.out)[0][3]["excess"] == ["read:org"]
    assert github.asked == f"Bearer {TOKEN}"

    github.scopes = None
    typed = shell.type("doctor")
    assert typed.code == 0
    assert "GitHub lists no scopes of a token of this kind" in typed.out


def test_a_jwt_says_it_itself_and_nobody_is_asked(
    shell: Shell, issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", issuer.token(scope="orders:read", scp=["admin"]))
    write(shell.root, scopes={"look_up": ["orders:read"]})

    typed = shell.type("doctor", "--json")

    assert typed.code == 1
    assert findings(typed.out)[0][3]["excess"] == ["admin"]
    assert not issuer.asked


def test_a_credential_that_nobody_can_speak_for_is_a_note_and_is_sent_to_nobody(shell: Shell, github: GitHub) -> None:
    write(shell.root, scopes={"look_up": ["orders:read"]})

    typed = shell.type("doctor", "--json")

    assert typed.code == 0
    assert [one[:2] for one in findings(typed.out)] == [("note", "scopes-unknown")]
    assert not github.asked


def test_a_tool_that_does_not_say_what_it_needs_is_a_note(shell: Shell, issuer: LoopbackIssuer) -> None:
    issuer.scopes_of[TOKEN] = "orders:read admin"
    write(shell.root, said_by=by_introspection(issuer), scopes={"look_up": ["orders:read"], "refund": []})

    typed = shell.type("doctor")

    assert typed.code == 0
    assert "scopes-undeclared" in typed.out
    assert "refund does not say what it needs" in typed.out


@pytest.mark.parametrize("trouble", ["down", "inactive", "not ours", "unset", "odd"])
def test_what_could_not_be_asked_ends_the_command_with_3(
    shell: Shell, issuer: LoopbackIssuer, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.scopes_of[TOKEN] = "orders:read"
    said_by = by_introspection(issuer)
    match trouble:
        case "down":
            issuer.is_down = True
        case "inactive":
            issuer.scopes_of.clear()
        case "not ours":
            monkeypatch.setenv("CLIENT", OTHER)
        case "unset":
            monkeypatch.delenv("SHOP")
        case _:
            said_by["url"] = f"{issuer.url}/keys"
    write(shell.root, said_by=said_by, scopes={"look_up": ["orders:read"]})

    typed = shell.type("doctor", "--json")

    assert typed.code == 3
    assert [one[:2] for one in findings(typed.out)] == [("unasked", "scopes-unknown")]
    assert TOKEN not in typed.out


def test_words_that_it_does_not_take_are_2_and_a_broken_project_is_1(shell: Shell) -> None:
    write(shell.root, scopes={"look_up": ["orders:read"]})
    assert shell.type("doctor", "--all").code == 2

    (shell.root / "leverframe.yaml").write_text("servers: {shop: {}}\n")
    assert shell.type("doctor").code in {1, 2}


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"secret://env/SHOPP": {"said_by": "jwt"}}, "unknown-credential"),
        ({"secret://env/SHOP": {"said_by": "introspection"}}, "missing-key"),
        ({"secret://env/SHOP": {"said_by": "jwt", "url": "https://x.example"}}, "key-without-effect"),
        ({"secret://env/SHOP": {"said_by": "github", "url": "http://x.example"}}, "plain-http"),
        ({"secret://env/SHOP": {}}, "missing-key"),
    ],
)
def test_an_issuer_that_would_say_nothing_is_an_error_of_the_file(
    shell: Shell, credentials: Mapping[str, object], code: str
) -> None:
    write(shell.root, scopes={"look_up": ["orders:read"]})
    project = json.loads((shell.root / "leverframe.yaml").read_text())
    (shell.root / "leverframe.yaml").write_text(json.dumps(project | {"credentials": credentials}))

    typed = shell.type("check")

    assert typed.code == 1
    assert code in typed.out


def test_scopes_of_a_tool_without_a_credential_are_an_error(shell: Shell) -> None:
    write(shell.root, scopes={"look_up": ["orders:read"]})
    (shell.root / "leverframe.yaml").write_text(json.dumps({"servers": {"shop": {"url": "https://x.example/mcp"}}}))

    typed = shell.type("check")

    assert "key-without-effect" in typed.out
    assert "no credential" in typed.out
