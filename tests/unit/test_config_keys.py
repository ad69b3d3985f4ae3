"""The registry of keys: complete, and the one source of the published schemas."""

from decimal import Decimal
from pathlib import Path

import jsonschema_rs
import pytest

from leverframe.config.findings import Findings
from leverframe.config.json_schemas import SchemaName, schema_for
from leverframe.config.keys import KEYS, Key, keys_below
from leverframe.config.registry import FileKind
from leverframe.config.sections import check_file
from leverframe.config.value_types import Group, ListOf, MapOf
from leverframe.config.yaml_nodes import to_json
from leverframe.config.yaml_source import read_yaml
from tests.config_samples import CHAIN, CONTRACT, DRAFT_TOOL, PROJECT, SEED

NAMES: dict[FileKind, SchemaName] = {"contract": "workflow", "project": "project", "tool": "tool"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.file}:{key.path}")
def test_a_key_says_all_that_the_reference_needs(key: Key) -> None:
    assert key.doc.endswith(".")
    assert key.example
    assert key.type
    if key.status == "enforced":
        assert key.enforced_by
    if key.name.endswith(("_usd", "_s", "_days")):
        assert key.unit or key.status != "enforced" or key.name == "output_s"


def test_no_key_stands_twice() -> None:
    paths = [(key.file, key.path) for key in KEYS]

    assert len(paths) == len(set(paths))


def test_every_key_stands_below_a_map_of_the_registry() -> None:
    groups = {(key.file, path) for key in KEYS for path in _maps(key)}

    assert [key.path for key in KEYS if key.parent and (key.file, key.parent) not in groups] == []


def _maps(key: Key) -> list[str]:
    match key.value:
        case Group():
            return [key.path]
        case ListOf(item=Group()):
            return [f"{key.path}[]"]
        case MapOf(item=Group()):
            return [f"{key.path}.*"]
        case _:
            # Keys of a later version may stand below one another.
            return [key.path] if key.status != "enforced" else []


# Names that a user chooses, where not every word is one.
CHOSEN = {("project", "credentials"): "secret://env/CHOSEN"}


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.status == "enforced"], ids=lambda key: f"{key.file}:{key.path}"
)
def test_the_example_of_a_key_is_one_that_the_key_takes(key: Key) -> None:
    *parents, name = key.path.replace("[]", ".[]").split(".")
    text = f"{name}: {key.example}"
    for parent in reversed(parents):
        if parent == "[]":
            text = f"[{{{text}}}]" if not text.startswith("[") else f"[{text}]"
        elif parent == "*":
            text = f"{CHOSEN.get((key.file, parents[0]), 'chosen')}: {{{text}}}"
        else:
            text = f"{parent}: {text}" if text.startswith("[") else f"{parent}: {{{text}}}"
    findings = Findings()
    node = read_yaml("f.yaml", text.encode(), findings)
    assert node is not None

    check_file(node, key.file, findings, needs=())

    wrong = [each for each in findings.problems if each.code != "missing-key"]
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "text"),
    [("contract", SEED), ("contract", CONTRACT), ("contract", CHAIN), ("project", PROJECT), ("tool", DRAFT_TOOL)],
)
def test_the_published_schema_takes_what_check_takes(file: FileKind, text: str) -> None:
    node = read_yaml("f.yaml", text.encode(), Findings())
    assert node is not None

    validator = jsonschema_rs.validator_for(dict(schema_for(NAMES[file])), offline=True)

    assert [error.message for error in validator.iter_errors(to_json(node))] == []


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.status != "enforced"], ids=lambda key: f"{key.file}:{key.path}"
)
def test_a_key_of_a_later_version_is_in_no_published_schema(key: Key) -> None:
    known = keys_below(key.file, key.parent)
    text = str(schema_for(NAMES[key.file]))

    assert known[key.name] is key
    assert key.doc not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"workflow": "w", "budgt": {}},
        {"workflow": "w", "route": {}},
        {"workflow": "w", "enforce": "observed"},
        {"workflow": "w", "budget": {"max_usd": Decimal(-1)}},
        {"budget": {}},
    ],
)
def test_the_published_schema_refuses_what_check_refuses(wrong: object) -> None:
    validator = jsonschema_rs.validator_for(dict(schema_for("workflow")), offline=True)

    assert not validator.is_valid(wrong)


def test_the_modules_that_enforce_a_key_exist() -> None:
    source = Path(__file__).resolve().parents[2] / "src/leverframe"
    named = {key.enforced_by for key in KEYS if key.status == "enforced"}

    missing = [
        name
        for name in sorted(named)
        if not (source / name.replace(".", "/")).is_dir() and not (source / f"{name.replace('.', '/')}.py").is_file()
    ]

    assert missing == []
