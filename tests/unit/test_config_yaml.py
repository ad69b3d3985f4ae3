"""YAML 1.2 core, strictly: what a scalar means, and where everything stands."""

from decimal import Decimal

import pytest

from leverframe.config.findings import Findings
from leverframe.config.yaml_nodes import Scalar, Table, place_in, to_json
from leverframe.config.yaml_source import read_yaml


def read(text: str) -> tuple[object, list[str]]:
    """The plain value of a text, and the problems as `line:column code`."""
    findings = Findings()
    node = read_yaml("f.yaml", text.encode(), findings)
    told = [f"{each.line}:{each.column} {each.code}" for each in findings.problems]
    return (None if node is None else to_json(node)), told


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("49.99", Decimal("49.99")),
        ("0.10", Decimal("0.10")),
        ("1e3", Decimal("1e3")),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("'null'", "null"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_a_scalar_is_what_the_core_schema_says(text: str, value: object) -> None:
    read_value, problems = read(f"key: {text}\n")

    assert read_value == {"key": value}
    assert type(read_value["key"]) is type(value)
    assert problems == []


def test_a_fraction_is_exact_and_never_a_float() -> None:
    value, _ = read("a: 0.1\nb: 0.2\n")

    assert isinstance(value, dict)
    assert value["a"] + value["b"] == Decimal("0.3")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffa: 1\n") == ({"a": 1}, [])


def test_an_alias_is_its_anchor_written_again() -> None:
    assert read("a: &x [1, 2]\nb: *x\n") == ({"a": [1, 2], "b": [1, 2]}, [])


def test_aliases_that_grow_like_a_flood_are_refused_before_they_are_written_out() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)]

    _, problems = read("\n".join(lines))

    assert [each.split()[1] for each in problems] == ["too-many-nodes"]


def test_a_hundred_aliases_are_the_most() -> None:
    _, few = read("a: &x 1\nb: [" + ",".join(["*x"] * 100) + "]\n")
    _, many = read("a: &x 1\nb: [" + ",".join(["*x"] * 101) + "]\n")

    assert few == []
    assert [each.split()[1] for each in many] == ["too-many-aliases"]


def test_depth_counts_what_an_alias_brings() -> None:
    nested = "[" * 20 + "]" * 20

    _, problems = read(f"a: &x {nested}\nb: {'[' * 15}*x{']' * 15}\n")

    assert [each.split()[1] for each in problems] == ["too-deep"]


def test_every_problem_of_a_file_is_found_in_one_reading() -> None:
    _, problems = read("a: .nan\n1: x\nb: !t y\na: 2\n")

    assert problems == ["1:4 not-finite", "2:1 key-not-text", "3:4 yaml-tag", "4:1 duplicate-key"]


def test_a_directive_of_another_yaml_is_refused() -> None:
    assert read("%YAML 1.1\n---\na: 1\n")[1] == ["1:1 yaml-directive"]


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("when: a == b\n", 5, (1, 12)),
        ("when: 'a == b'\n", 5, (1, 13)),
        ('when: "é == b"\n', 5, (1, 13)),
        ("when: |\n  a == b\n  && c\n", 10, (3, 6)),
        ("when: >\n  a == b\n  && c\n", 10, (1, 7)),
        ('when: "a\\u0020== b"\n', 5, (1, 7)),
    ],
    ids=["plain", "single quotes", "double quotes", "literal", "folded", "escaped"],
)
def test_a_character_of_a_text_has_its_place_in_the_file(text: str, offset: int, place: tuple[int, int]) -> None:
    node = read_yaml("f.yaml", text.encode(), Findings())
    assert isinstance(node, Table)
    scalar = node.entries[0].value
    assert isinstance(scalar, Scalar)

    at = place_in(scalar, offset)

    assert (at.line, at.column) == place
