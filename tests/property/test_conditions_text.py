"""Text to tree and back; and no text, however hostile, raises anything but a condition's own error."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leverframe.core.conditions import (
    ConditionError,
    TypeScope,
    check,
    compile_condition,
    parse,
    render,
    type_of_schema,
)
from leverframe.domain.conditions import AnyType, Expr, MapType, Path
from tests.property.condition_strategies import CONDITIONS, TYPED_CONDITIONS, environments
from tests.property.slow_conditions import slow_evaluate

MANY = max(200, settings().max_examples)
NAMES = ["args", "facts", "run", "a", "in", "true", "null", "has", "size", "integrity", "history", "count"]
MARKS = [".", "(", ")", "[", "]", ",", "+", "-", "!", "&&", "||", "==", "<", "<=", "=", "&", '"', "\\", "{", "\n"]
LITERALS = ['"x"', "'y'", '"24h"', '"run"', '"\\u00e9"', '"\\q"', "1", "2.5", "1e5", "0x1", "startsWith", "\u00e9"]
PIECES = st.sampled_from([*NAMES, *MARKS, *LITERALS])


@settings(max_examples=MANY)
@given(expr=st.one_of(CONDITIONS, TYPED_CONDITIONS))
def test_a_printed_condition_parses_to_itself(expr: Expr) -> None:
    text = render(expr)
    assume(len(text) <= 4096)

    assert parse(text) == expr
    assert render(parse(text)) == text


@settings(max_examples=MANY)
@given(
    text=st.one_of(st.text(), st.lists(PIECES, max_size=30).map(" ".join), st.lists(PIECES, max_size=30).map("".join))
)
def test_no_text_raises_anything_but_a_condition_error(text: str) -> None:
    error = None
    try:
        expr = parse(text)
    except ConditionError as err:
        error = err

    if error is None:
        assert parse(render(expr)) == expr
    else:
        assert 0 <= error.offset <= len(text)
        assert error.message


@given(data=st.data(), expr=CONDITIONS)
def test_spaces_and_parentheses_change_nothing(data: st.DataObject, expr: Expr) -> None:
    text = f"\n(\t( {render(expr)} )) "
    assume(len(text) <= 4096)
    env = data.draw(environments(expr))

    assert compile_condition(parse(text)).evaluate(env) is slow_evaluate(expr, env)


@given(expr=CONDITIONS)
def test_the_type_check_never_raises_and_points_into_the_text(expr: Expr) -> None:
    text = render(expr)
    assume(len(text) <= 4096)
    schema = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": ["string", "null"]}}}
    scope = TypeScope(
        args={"refund": type_of_schema(schema), "lookup": AnyType()},
        tools={"refund": type_of_schema(schema)},
        facts=MapType(fields={"a": type_of_schema({"properties": {"b": schema}})}),
    )

    for problem in check(parse(text), scope):
        assert 0 <= problem.offset < len(text)
        assert problem.message.endswith((".", "?"))


SCHEMA_WORDS = st.sampled_from(
    ["type", "properties", "items", "anyOf", "allOf", "oneOf", "$ref", "enum", "const", "additionalProperties", "$defs"]
)
SCHEMA_VALUES: st.SearchStrategy[object] = st.recursive(
    st.sampled_from(["object", "array", "string", "#", "#/$defs/a", "#/properties/b", "null", None, True, False, 3]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(SCHEMA_WORDS, st.sampled_from("ab")), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(schema=SCHEMA_VALUES)
def test_every_schema_has_a_type(schema: object) -> None:
    found = type_of_schema(schema)

    assert check(parse("has(args.a.b)"), TypeScope(args={"t": found}, tools={"t": found})) is not None


@pytest.mark.parametrize("joiner", ["allOf", "anyOf"])
def test_a_schema_of_nested_references_is_read_in_bounded_time(joiner: str) -> None:
    layers = {
        f"{name}{depth}": {
            "properties": {
                key: {joiner: [{"$ref": f"#/$defs/{other}{depth + 1}"} for other in "pq"]} for key in ("a", "b", "c")
            }
        }
        for name in "pq"
        for depth in range(30)
    }

    found = type_of_schema({"$defs": layers, "allOf": [{"$ref": "#/$defs/p0"}, {"$ref": "#/$defs/q0"}]})

    assert isinstance(found, MapType | AnyType)


@given(keys=st.lists(st.text(max_size=4), min_size=1, max_size=3))
def test_a_path_of_any_keys_is_printed_so_that_it_parses(keys: list[str]) -> None:
    path = Path(root="args", keys=tuple(keys))

    assert parse(render(path)) == path
