"""The answers of `tools diff` against values: what is called harmless refuses nothing that was right."""

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.core.schema_changes import Change, _as_sent, input_change
from leverframe.core.schema_samples import samples
from leverframe.domain.json import Json, JsonObject

LEAVES: st.SearchStrategy[dict[str, Json]] = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"maxLength": st.integers(0, 6), "minLength": st.integers(0, 3)}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-2, 2), "maximum": st.integers(0, 4)},
    ),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["a", "b", 1, None]), min_size=1, unique_by=repr)}),
    st.fixed_dictionaries({"type": st.lists(st.sampled_from(["string", "null", "boolean"]), min_size=1, unique=True)}),
    st.just({}),
)


def objects(parts: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    names = st.sampled_from(["a", "b", "c"])
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(names, parts, max_size=3)},
        optional={
            "required": st.lists(names, max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), LEAVES),
        },
    )


def arrays(parts: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    return st.fixed_dictionaries({"type": st.just("array"), "items": parts}, optional={"maxItems": st.integers(0, 3)})


PARTS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        objects(parts), arrays(parts), st.fixed_dictionaries({"anyOf": st.lists(parts, min_size=1, max_size=2)})
    ),
    max_leaves=4,
)


def composed(parts: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    """Objects of which other schemas judge the same value."""
    branch = st.one_of(
        objects(parts),
        st.fixed_dictionaries({"required": st.lists(st.sampled_from(["a", "b"]), min_size=1, unique=True)}),
    )
    more = st.fixed_dictionaries(
        {},
        optional={
            "allOf": st.lists(branch, min_size=1, max_size=2),
            "anyOf": st.lists(branch, min_size=1, max_size=2),
            "if": branch,
            "then": branch,
            "patternProperties": st.dictionaries(st.sampled_from(["^x-", "^b"]), LEAVES, min_size=1, max_size=1),
        },
    )
    return st.builds(lambda one, two: {**one, **two}, objects(parts), more)


SCHEMAS = composed(st.one_of(PARTS, composed(LEAVES)))


def is_valid(schema: Json, value: Json) -> bool:
    assert isinstance(schema, dict)
    return jsonschema_rs.is_valid(schema, value)


@settings(max_examples=300, deadline=None)
@given(old=SCHEMAS, new=SCHEMAS)
def test_what_is_not_breaking_refuses_no_value_that_was_taken(old: JsonObject, new: JsonObject) -> None:
    found = input_change(old, new).change
    sent_old, sent_new = _as_sent(old), _as_sent(new)
    refused = [one for one in samples(sent_old) if is_valid(sent_old, one) and not is_valid(sent_new, one)]
    more = [one for one in samples(sent_new) if is_valid(sent_new, one) and not is_valid(sent_old, one)]

    assert not (refused and found in {Change.EQUAL, Change.WIDENED})
    assert not (more and found is Change.EQUAL)


@settings(max_examples=150, deadline=None)
@given(schema=SCHEMAS)
def test_a_schema_is_equal_to_itself_in_other_words(schema: JsonObject) -> None:
    said = {"title": "Another title", **dict(sorted(schema.items(), reverse=True)), "$comment": "moved"}

    assert input_change(schema, said).change in {Change.EQUAL, Change.UNKNOWN}


@settings(max_examples=150, deadline=None)
@given(schema=SCHEMAS)
def test_another_argument_is_never_called_equal(schema: JsonObject) -> None:
    properties = schema["properties"]
    assert isinstance(properties, dict)

    found = input_change(schema, {**schema, "properties": {**properties, "notes_to_self": {"type": "string"}}})

    assert found.change is not Change.EQUAL
    assert "/notes_to_self" in found.added
