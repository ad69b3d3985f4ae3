"""The pages of the three files that a user writes: every key, whether this version enforces it, and an example."""

from collections.abc import Iterable

from leverframe.config.keys import KEYS, Key

from scripts.reference import markdown

TITLES = {"project": "The project file", "contract": "The workflow contract", "tool": "The tool specification"}
INTROS = {
    "project": """`leverframe.yaml`: where state is kept, who people are, which providers, models and servers exist.
Everything has a default; a project of one workflow needs `providers` and `models` only.""",
    "contract": """`workflows/<name>.yaml`: what an agent may do, what must be asked, where it stops, what it leaves.
Every key but `workflow` is optional, and the defaults are the safe ones.""",
    "tool": """`tools/<name>.yaml`: what a tool does to the world, what its arguments mean, and how it is called.
A Python tool says the same in its decorator.""",
}
STATUS = """A key is *enforced* or *later*: one marked *later* belongs to the design, and `leverframe check` refuses it
as `not-in-this-version` until the code that enforces it is there. No key is accepted and ignored."""
HEAD = ("Key", "Type", "Default", "Unit", "Means", "Example")


def render(file: str) -> str:
    """The page of one file: its enforced keys, then those to come."""
    keys = [key for key in KEYS if key.file == file]
    enforced = [key for key in keys if key.status == "enforced"]
    later = [key for key in keys if key.status != "enforced"]
    return markdown.page(
        TITLES[file],
        INTROS[file],
        STATUS,
        "## Enforced",
        markdown.table(HEAD, _rows(enforced)),
        "## Later" if later else "",
        markdown.table(HEAD, _rows(later)),
    )


def _rows(keys: Iterable[Key]) -> list[tuple[str, ...]]:
    return [
        (
            markdown.code(key.path),
            key.type,
            markdown.code(key.default),
            key.unit or "-",
            key.doc,
            markdown.code(key.example),
        )
        for key in keys
    ]
