"""Tools: YAML specs and decorated functions say the same, and their schemas come from their types."""

import json
from pathlib import Path

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.ids import ToolName, WorkflowName
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.tools import ArgRole, EffectClass, McpOrigin, PythonOrigin, ToolSpec
from tests.config_samples import FILES, SMALL, told, write_files

W = "workflows/w.yaml"
HEADER = """\
import dataclasses
import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

from leverframe.sdk.tool import tool


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Line:
    item: str
    count: int = 1


class Place(TypedDict):
    street: str
    city: NotRequired[str]


"""


def specs_of(root: Path) -> dict[str, ToolSpec]:
    contract = load_project(root).contracts[WorkflowName("refund_request")]
    return {str(name): spec for name, spec in contract.tools.items()}


def one_tool(root: Path, source: str, name: str = "f") -> ToolSpec:
    files = {"leverframe.yaml": "{}\n", "tools/mine.py": source, W: f"workflow: w\npolicy: {{allow_tools: [{name}]}}\n"}
    return load_project(write_files(root, files)).contracts[WorkflowName("w")].tools[ToolName(name)]


def test_a_yaml_tool_is_what_it_says(tmp_path: Path) -> None:
    spec = specs_of(write_files(tmp_path, FILES))["create_refund_draft"]

    assert spec.origin == McpOrigin(server="shop", name="draft")
    assert (spec.version, spec.effect) == (2, EffectClass.RECONCILABLE)
    assert spec.args["order_id"].accepts is Integrity.TENANT_RECORD
    assert spec.args["amount_usd"].role is ArgRole.AMOUNT
    assert spec.reconcile is not None
    assert spec.reconcile.done == PythonOrigin(file="facts.py", function="was_drafted")
    assert spec.once_per is not None
    assert (spec.once_per.keys, spec.once_per.within_s) == (("order_id",), 86_400)
    assert spec.cost == 2000
    assert spec.retries.on == {"timeout", "connect", "429", "5xx"}
    assert spec.output_trust == {"": Integrity.TENANT_RECORD, "/note": Integrity.THIRD_PARTY}
    assert spec.output_confidentiality is Confidentiality.TENANT
    assert spec.environments == {"sandbox", "prod"}


def test_a_decorated_function_is_what_it_says(tmp_path: Path) -> None:
    spec = specs_of(write_files(tmp_path, FILES))["issue_refund"]

    assert spec.origin == PythonOrigin(file="tools/shop.py", function="issue_refund")
    assert spec.effect is EffectClass.KEYED
    assert spec.description == "Refund part or all of one order."
    assert spec.cost == 2000
    assert str(spec.source) == "tools/shop.py:31"


def test_an_agent_cannot_choose_the_idempotency_key(tmp_path: Path) -> None:
    spec = specs_of(write_files(tmp_path, FILES))["issue_refund"]

    properties = spec.input_schema["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == {"order_id", "amount_usd", "note"}
    assert spec.input_schema["required"] == ["order_id", "amount_usd"]
    assert spec.input_schema["additionalProperties"] is False
    assert spec.idempotency_argument == "idempotency_key"


def test_the_key_is_taken_out_of_a_written_schema_too(tmp_path: Path) -> None:
    tool = """\
tool: pay
from: {mcp: shop}
effect: keyed
idempotency: {argument: request_id}
input: {type: object, required: [to, request_id], properties: {to: {type: string}, request_id: {type: string}}}
"""
    contract = "workflow: refund_request\npolicy: {allow_tools: [pay]}\n"
    files = {**FILES, "tools/pay.yaml": tool, "workflows/refund_request.yaml": contract}

    spec = specs_of(write_files(tmp_path, files))["pay"]

    assert spec.input_schema["properties"] == {"to": {"type": "string"}}
    assert spec.input_schema["required"] == ["to"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("bool", {"type": "boolean"}),
        ("Decimal", {"type": "number"}),
        ("list[str]", {"type": "array", "items": {"type": "string"}}),
        ("Sequence[int]", {"type": "array", "items": {"type": "integer"}}),
        ("tuple[str, ...]", {"type": "array", "items": {"type": "string"}}),
        ("dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("Mapping[str, Any]", {"type": "object", "additionalProperties": {}}),
        ("dict", {"type": "object"}),
        ("Any", {}),
        ('Literal["a", 2]', {"enum": ["a", 2]}),
        ("Colour", {"enum": ["red", "blue"]}),
        ("str | None", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("Optional[int]", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ('Annotated[str, "a note"]', {"type": "string"}),
        (
            "Line",
            {
                "type": "object",
                "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
                "required": ["item"],
                "additionalProperties": False,
            },
        ),
        (
            "Place",
            {
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                "required": ["street"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_the_input_schema_comes_from_the_types(tmp_path: Path, annotation: str, schema: object) -> None:
    spec = one_tool(tmp_path, f"{HEADER}@tool(effect='read')\ndef f(x: {annotation}) -> Place: ...\n")

    properties = spec.input_schema["properties"]
    assert isinstance(properties, dict)
    assert json.loads(json.dumps(properties["x"])) == schema
    assert spec.output_schema is not None
    assert spec.output_schema["required"] == ["street"]


@pytest.mark.parametrize(
    "annotation", ["list[float]", "tuple[str, int]", "bytes", "dict[int, str]", "set[float] | None"]
)
def test_a_type_that_json_has_no_word_for_is_refused(tmp_path: Path, annotation: str) -> None:
    files = {"leverframe.yaml": "{}\n", "tools/m.py": f"{HEADER}@tool(effect='read')\ndef f(x: {annotation}): ...\n"}

    _, problems = load_project_lenient(write_files(tmp_path, files))

    assert [each.code for each in problems if each.severity == "error"] == ["bad-signature"]


def test_a_credential_is_no_argument_of_the_agent(tmp_path: Path) -> None:
    source = (
        f"{HEADER}@tool(effect='read', credential='secret://env/SHOP')\ndef f(x: str, credential: str) -> str: ...\n"
    )

    assert one_tool(tmp_path, source).input_schema["required"] == ["x"]


def test_an_imported_tool_is_declared_once_where_it_stands(tmp_path: Path) -> None:
    files = {
        **SMALL,
        "tools/_old.py": "raise SystemExit(1)\n",
        W: "workflow: w\npolicy: {allow_tools: [lookup_order]}\n",
    }

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is not None
    assert told(problems) == []


def test_a_changed_schema_changes_its_digest(tmp_path: Path) -> None:
    first = one_tool(tmp_path / "a", f"{HEADER}@tool(effect='read')\ndef f(x: str) -> str: ...\n")
    same = one_tool(tmp_path / "b", f"{HEADER}\n@tool(effect='read')\ndef f(x: str) -> str: ...\n")

    other = one_tool(tmp_path / "c", f"{HEADER}@tool(effect='read')\ndef f(x: str, y: str = '') -> str: ...\n")

    assert first.schema_sha256 == same.schema_sha256 != other.schema_sha256


def test_a_tool_that_looks_broad_is_warned_of_and_a_declared_one_listed(tmp_path: Path) -> None:
    looks = f"{HEADER}@tool(effect='read')\ndef f(url: str) -> str: ...\n"
    says = looks.replace("effect='read'", "effect='read', broad='reads our own wiki only'")
    contract = "workflow: w\npolicy: {allow_tools: [f]}\n"

    _, warned = load_project_lenient(
        write_files(tmp_path / "a", {"leverframe.yaml": "{}\n", "tools/m.py": looks, W: contract})
    )
    _, listed = load_project_lenient(
        write_files(tmp_path / "b", {"leverframe.yaml": "{}\n", "tools/m.py": says, W: contract})
    )

    assert [each.code for each in warned if each.code.endswith("broad")] == ["looks-broad"]
    assert any(each.code == "broad-tool" and "our own wiki" in each.message for each in listed)


@pytest.mark.parametrize(
    ("declared", "is_told"),
    [
        ("effect='irreversible'", True),
        ("effect='read'", False),
        ("effect='irreversible', args={'to': {'role': 'recipient'}}", False),
        ("effect='irreversible', args={'to': {'type': 'email'}}", True),
        ("effect='keyed', idempotency='to'", False),
    ],
)
def test_a_write_of_which_no_argument_says_what_it_is_for_is_told(
    tmp_path: Path, declared: str, *, is_told: bool
) -> None:
    source = f"{HEADER}@tool({declared})\ndef f(to: str, count: int) -> str: ...\n"
    files = {"leverframe.yaml": "{}\n", "tools/m.py": source, W: "workflow: w\npolicy: {allow_tools: [f]}\n"}

    _, found = load_project_lenient(write_files(tmp_path, files))

    told = [each.message for each in found if each.code == "no-roles"]
    assert bool(told) is is_told
    assert all("'to'" in message and "'count'" not in message for message in told)


def test_loading_twice_gives_the_same_contract(tmp_path: Path) -> None:
    root = write_files(tmp_path, FILES)

    assert load_project(root) == load_project(root)
