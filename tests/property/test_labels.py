"""Labels only get worse: joins, unions and arguments, whatever enters a run in whatever order."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.argument_labels import label_args
from leverframe.core.endorsements import Named, traced_as
from leverframe.core.provenance import ValueIndex, asked_with, index_input, index_result, label_output, run_union
from leverframe.core.token_types import compile_types
from leverframe.domain.json import Json
from leverframe.domain.labels import Confidentiality, Integrity, Label, join
from tests.policy_samples import LOOKUP, tool

TYPES = compile_types({"order_id": r"#W\d"})
KEYS = st.sampled_from(["order_id", "note", "email", "id"])
SCALARS: st.SearchStrategy[Json] = st.one_of(
    st.sampled_from(["#W1", "#W2", " #W1 ", "about #W1 and #W2", "Ann@x.de", "ann@X.de", ""]),
    st.sampled_from([None, True, 1]),
    st.decimals(allow_nan=False, allow_infinity=False, places=1, min_value=0, max_value=2),
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
LEVELS = st.sampled_from(Integrity)
RECORDS = st.sampled_from([Integrity.THIRD_PARTY, Integrity.TENANT_RECORD])
LABELS = st.builds(
    lambda level, secrecy: Label(integrity=level, confidentiality=secrecy), LEVELS, st.sampled_from(Confidentiality)
)
READS = st.lists(
    st.tuples(
        OBJECTS, st.dictionaries(st.sampled_from(["", "/note", "/*/id"]), RECORDS), st.sampled_from(Confidentiality)
    ),
    max_size=3,
)
Read = tuple[dict[str, Json], dict[str, Integrity], Confidentiality]


def entered(user: dict[str, Json], reads: list[Read], opener: Integrity = Integrity.USER) -> list[ValueIndex]:
    """The index of a run after its input and after each read."""
    steps = [index_input(user, opener=opener, trust={"note": Integrity.THIRD_PARTY}, types=TYPES)]
    for result, trust, secrecy in reads:
        spec = tool(LOOKUP, output_trust=trust, output_confidentiality=secrecy)
        steps.append(index_result(steps[-1], result, label_output(result, spec), step="1"))
    return steps


@given(one=LABELS, other=LABELS, third=LABELS)
def test_a_join_is_at_most_as_trusted_and_at_least_as_secret_as_each(one: Label, other: Label, third: Label) -> None:
    joined = join([one, other])

    assert joined.integrity <= min(one.integrity, other.integrity)
    assert joined.confidentiality >= max(one.confidentiality, other.confidentiality)
    assert join([other, one]) == joined
    assert join([joined, third]) == join([one, join([other, third])])
    assert join([joined, joined]) == joined


@given(user=OBJECTS, reads=READS)
def test_the_union_of_a_run_only_gets_worse(user: dict[str, Json], reads: list[Read]) -> None:
    unions = [run_union(index) for index in entered(user, reads)]

    for before, after in pairwise(unions):
        assert after.integrity <= before.integrity
        assert after.confidentiality >= before.confidentiality


@given(user=OBJECTS, reads=READS, args=OBJECTS)
def test_an_argument_is_never_less_secret_than_what_the_run_saw(
    user: dict[str, Json], reads: list[Read], args: dict[str, Json]
) -> None:
    index = entered(user, reads)[-1]

    labels = label_args(args, {}, index)

    assert all(label.confidentiality == run_union(index).confidentiality for label in labels.values())


@given(user=OBJECTS, reads=READS, args=OBJECTS)
def test_no_read_of_a_record_makes_an_argument_the_users(
    user: dict[str, Json], reads: list[Read], args: dict[str, Json]
) -> None:
    steps = entered(user, reads)

    first, last = label_args(args, {}, steps[0]), label_args(args, {}, steps[-1])

    for name, label in last.items():
        assert (label.integrity >= Integrity.USER) == (first[name].integrity >= Integrity.USER)


@given(user=OBJECTS, reads=READS, planted=OBJECTS, args=OBJECTS)
def test_a_planted_text_never_raises_an_argument(
    user: dict[str, Json], reads: list[Read], planted: dict[str, Json], args: dict[str, Json]
) -> None:
    before = entered(user, reads)[-1]
    after = index_result(before, planted, label_output(planted, tool(LOOKUP)), step="9")

    old, new = label_args(args, {}, before), label_args(args, {}, after)

    assert all(new[name].integrity <= old[name].integrity for name in args)


@given(user=OBJECTS, reads=READS, args=OBJECTS)
def test_a_run_that_a_stranger_opened_trusts_no_argument_above_its_records(
    user: dict[str, Json], reads: list[Read], args: dict[str, Json]
) -> None:
    index = entered(user, reads, opener=Integrity.THIRD_PARTY)[-1]

    labels = label_args(args, {}, index)

    assert all(label.integrity <= Integrity.TENANT_RECORD for label in labels.values())


@given(user=OBJECTS, reads=READS, parts=st.lists(SCALARS, min_size=1, max_size=3))
def test_a_list_is_as_trusted_as_its_least_trusted_part(
    user: dict[str, Json], reads: list[Read], parts: list[Json]
) -> None:
    index = entered(user, reads)[-1]

    whole = label_args({"order_id": parts}, {}, index)["order_id"]

    each = [label_args({"order_id": part}, {}, index)["order_id"].integrity for part in parts]
    assert whole.integrity == min(each)


@given(user=OBJECTS, reads=READS, args=OBJECTS)
def test_the_order_of_reads_does_not_matter(user: dict[str, Json], reads: list[Read], args: dict[str, Json]) -> None:
    forth, back = entered(user, reads)[-1], entered(user, reads[::-1])[-1]

    def levels(index: ValueIndex) -> dict[str, Integrity]:
        return {name: label.integrity for name, label in label_args(args, {}, index).items()}

    assert levels(forth) == levels(back)
    assert run_union(forth) == run_union(back)


@given(
    user=OBJECTS,
    reads=READS,
    args=OBJECTS,
    named=st.builds(lambda name, value: Named(name=name, value=value), KEYS, SCALARS),
    level=st.sampled_from([Integrity.TENANT_RECORD, Integrity.USER]),
)
def test_an_endorsement_raises_equal_values_alone_no_further_than_it_says_and_lowers_nothing(
    user: dict[str, Json], reads: list[Read], args: dict[str, Json], named: Named, level: Integrity
) -> None:
    plain = entered(user, reads)[-1]
    label = Label(integrity=level, confidentiality=Confidentiality.PUBLIC, origin="1/value")
    eased = dict.fromkeys(traced_as(named, "/value", TYPES, {}), label)
    index = replace(plain, eased=eased)

    before, after = label_args(args, {}, plain), label_args(args, {}, index)

    assert run_union(index) == run_union(plain)
    for key in args:
        assert before[key].integrity <= after[key].integrity <= max(before[key].integrity, level)
        assert after[key].confidentiality == before[key].confidentiality
    if not eased:
        assert after == before


@given(user=OBJECTS, reads=READS, value=st.sampled_from(["#W1", "Ann@x.de"]), planted=OBJECTS)
def test_an_endorsed_value_stays_endorsed_whatever_is_read_after_it(
    user: dict[str, Json], reads: list[Read], value: str, planted: dict[str, Json]
) -> None:
    label = Label(integrity=Integrity.USER, origin="1/email")
    eased = dict.fromkeys(traced_as(Named(name="email", value=value), "/email", TYPES, {}), label)
    index = replace(entered(user, reads)[-1], eased=eased)

    later = index_result(index, planted, label_output(planted, tool(LOOKUP)), step="9")

    assert label_args({"email": value}, {}, later)["email"].integrity is Integrity.USER


@given(user=OBJECTS, reads=READS, said=SCALARS, keys=st.lists(KEYS, max_size=3), level=LEVELS)
def test_no_answer_that_repeats_a_value_of_its_own_call_changes_what_the_value_is(
    user: dict[str, Json], reads: list[Read], said: Json, keys: list[str], level: Integrity
) -> None:
    before = entered(user, reads)[-1]
    answer: Json = {**dict.fromkeys(keys, said), "id": [dict.fromkeys(keys, said)]}
    labels = label_output(answer, tool(LOOKUP, output_trust={"": level}))

    after = index_result(before, answer, labels, step="9", asked=asked_with({"q": said}))

    args: dict[str, Json] = dict.fromkeys(["order_id", "note", "email", "id"], said)
    old, new = label_args(args, {}, before), label_args(args, {}, after)
    assert {name: label.integrity for name, label in new.items()} == {
        name: label.integrity for name, label in old.items()
    }


@given(user=OBJECTS, reads=READS, said=SCALARS, keys=st.lists(KEYS, max_size=3))
def test_what_the_agent_wrote_out_of_nowhere_is_never_more_than_the_users_word_makes_it(
    user: dict[str, Json], reads: list[Read], said: Json, keys: list[str]
) -> None:
    first = entered(user, [])[-1]
    before = replace(entered(user, reads)[-1], written=asked_with({"text": said}))
    answer: dict[str, Json] = dict.fromkeys(keys, said)

    after = index_result(
        before, answer, label_output(answer, tool(LOOKUP, output_trust={"": Integrity.SYSTEM})), step="9"
    )

    args: dict[str, Json] = dict.fromkeys(["order_id", "note", "email", "id"], said)
    users = label_args(args, {}, first)
    for name, label in label_args(args, {}, after).items():
        assert label.integrity <= users[name].integrity
