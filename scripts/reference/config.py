"""The pages of the three files that a user writes: every key, whether this version enforces it, and an example."""

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
STATUS = """`leverframe check` refuses a key that this version does not enforce as `not-in-this-version`; none is
accepted and ignored. In a path, `[]` stands for an item of a list and `*` for a name that you choose."""
TIERS = {
    "first day": "What a first workflow needs.",
    "first month": "What a workflow in use asks for.",
    "all": "Everything else.",
}
HEAD = ("Key", "Takes", "Default", "Unit", "Means", "Example", "Kept by")


def render(file: str) -> str:
    """The page of one file: its enforced keys by tier, then those that a later version will enforce."""
    keys = [key for key in KEYS if key.file == file]
    blocks: list[str] = []
    for tier, said in TIERS.items():
        rows = [_row(key) for key in keys if key.status == "enforced" and key.tier == tier]
        blocks += [f"## {tier.capitalize()}", said, markdown.table(HEAD, rows)] if rows else []
    later = [(markdown.code(key.path), key.doc, markdown.code(key.example)) for key in keys if key.status != "enforced"]
    if later:
        blocks += ["## Not in this version", "Refused until the code that enforces it is there."]
        blocks += [markdown.table(("Key", "Will mean", "Example"), later)]
    return markdown.page(TITLES[file], INTROS[file], STATUS, *blocks)


def _row(key: Key) -> tuple[str, ...]:
    return (
        markdown.code(key.path),
        key.type,
        key.default if " " in key.default and key.default[0].islower() else markdown.code(key.default),
        key.unit or "-",
        key.doc,
        markdown.code(key.example),
        markdown.code(key.enforced_by),
    )
