"""A project whose letters go to whoever a partner's record names: nobody the user named, so each is held."""

from pathlib import Path
from typing import Final

from tests.config_samples import write_files

PARTNER: Final = "partner@north.example"

FILES: Final = {
    "leverframe.yaml": """\
providers: {}
types: {email: {pattern: "[a-z]+@[a-z]+[.]example"}}
""",
    "workflows/post.yaml": """\
workflow: post
kind: chain
input: {type: object, required: [name], properties: {name: {type: string}, note: {type: string}}}
input_trust: {note: third-party}
steps:
  - tool: {name: find_partner, args: {name: input.name}, as: partner}
  - tool: {name: send_letter, args: {to: partner.email}, as: letter}
policy: {allow_tools: [find_partner, send_letter]}
""",
    "inputs/post.json": '{"name": "north"}\n',
    "tools/post.py": '''\
"""A record of others, and letters."""

from pathlib import Path
from typing import TypedDict

from leverframe.sdk.tool import tool


class Partner(TypedDict):
    """Who they say they are."""

    email: str
    copy: str
    staff: int
    is_known: bool


class Sent(TypedDict):
    """What went out."""

    sent: str


@tool(effect="read")
def find_partner(name: str) -> Partner:
    """Read what a partner wrote of itself."""
    return {"email": f"partner@{name}.example", "copy": "Dear partner", "staff": 7, "is_known": True}


@tool(effect="irreversible", args={"to": {"role": "recipient", "type": "email"}})
def send_letter(to: str) -> Sent:
    """Send a letter."""
    with (Path(__file__).parent.parent / "sent.txt").open("a", encoding="utf-8") as out:
        out.write(f"{to}\\n")
    return {"sent": to}
''',
}
PEOPLE: Final = """\
people:
  lena: {roles: [approver]}
  omar: {roles: [approver]}
  paul: {}
"""


def write_post(folder: Path, *, people: str = "") -> Path:
    """Write the project."""
    return write_files(folder, {**FILES, "leverframe.yaml": people + FILES["leverframe.yaml"]})


def sent(folder: Path) -> list[str]:
    """To whom letters went."""
    path = folder / "sent.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []
