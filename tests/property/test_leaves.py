"""A leaf says what its entry says, byte for byte the same whichever way it is written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.leaves import encode_leaf, is_cleartext
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.ids import (
    EntryId,
    EnvironmentName,
    PrincipalId,
    RuleId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    ToolName,
)
from leverframe.domain.labels import Confidentiality, Integrity, Label
from tests.store_samples import NOW

# Most strings are ids; some hold what JSON escapes, what no leaf may hold, nothing, or too much.
PLAIN = st.from_regex(r"[a-z_0-9:./-]{1,20}", fullmatch=True)
TEXTS = st.one_of(
    PLAIN,
    st.text(max_size=6),
    st.sampled_from(['a"b', "a\\b", "é", "a b", "", "x" * 256, "x" * 257, "\x7f", "\ud800", "</a>&'"]),
)
NUMBERS = st.integers(-(2**63), 2**63)
LABELS = st.builds(Label, integrity=st.sampled_from(Integrity), confidentiality=st.sampled_from(Confidentiality))
KEYS = st.sampled_from(["rules", "asker", "a1"])


def drafts(texts: st.SearchStrategy[str], keys: st.SearchStrategy[str]) -> st.SearchStrategy[EntryDraft]:
    detail: st.SearchStrategy[dict[str, DetailValue]] = st.dictionaries(
        keys,
        st.one_of(texts, NUMBERS, st.booleans(), st.lists(texts, max_size=3).map(tuple)),
        max_size=4,
    )
    return st.builds(
        EntryDraft,
        entry_id=texts.map(EntryId),
        at=st.just(NOW),
        type=st.sampled_from(EventType),
        tenant=texts.map(TenantId),
        environment=st.none() | texts.map(EnvironmentName),
        run_id=st.none() | texts.map(RunId),
        step=st.none() | texts.map(StepPath),
        actor=st.none() | texts.map(PrincipalId),
        tool=st.none() | texts.map(ToolName),
        tool_version=st.none() | NUMBERS,
        action_digest=st.none() | texts.map(Sha256),
        rule=st.none() | texts.map(RuleId),
        decision=texts,
        labels=st.none() | LABELS,
        argument_labels=st.dictionaries(texts, st.sampled_from(Integrity), max_size=2),
        input_tokens=st.none() | st.just(0) | NUMBERS,
        detail=detail,
        disclosures=st.lists(
            st.builds(
                Disclosure,
                digest=texts,
                salt=st.just("s"),
                name=st.just("n"),
                value_bytes=st.just(b"1"),
                is_redacted=st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
    )


ANY_KEYS = KEYS | st.sampled_from(["Bad", "", "a b"]) | st.text(max_size=3)
DRAFTS = drafts(PLAIN, KEYS) | drafts(TEXTS, ANY_KEYS)


def said(draft: EntryDraft, run_seq: int | None) -> dict[str, object]:
    """What a leaf has to say, in the order in which it says it; raises where something may not stand in clear."""
    fields: list[tuple[str, object]] = [("tenant", draft.tenant), ("environment", draft.environment)]
    if draft.run_id is not None:
        fields += [("run_id", draft.run_id), ("run_seq", run_seq)]
    fields += [("step", draft.step), ("actor", draft.actor), ("tool", draft.tool), ("tool_version", draft.tool_version)]
    fields += [("action_digest", draft.action_digest), ("rule", draft.rule), ("decision", draft.decision)]
    fields.append(("input_tokens", draft.input_tokens))
    shown = {name: value for name, value in fields if name == "run_id" or value not in {None, ""}}
    for value in shown.values():
        assert not isinstance(value, str) or is_cleartext(value)
    leaf: dict[str, object] = {"v": 1, "entry_id": draft.entry_id, "at": "2026-03-01T12:00:00.000000Z"}
    leaf |= {"type": draft.type.value, **shown}
    if draft.labels is not None:
        leaf["labels"] = {
            "integrity": draft.labels.integrity.word,
            "confidentiality": draft.labels.confidentiality.word,
        }
    if draft.argument_labels:
        assert all(map(is_cleartext, draft.argument_labels))
        leaf["argument_labels"] = {name: draft.argument_labels[name].word for name in sorted(draft.argument_labels)}
    if draft.detail:
        leaf["detail"] = {key: _detail(key, draft.detail[key]) for key in sorted(draft.detail)}
    commitments = sorted(one.digest for one in draft.disclosures if not one.is_redacted)
    return {**leaf, "_sd": commitments} if commitments else leaf


def _detail(key: str, value: DetailValue) -> object:
    assert key.isascii()
    assert key[:1].islower()
    assert key.replace("_", "a").isalnum()
    assert key == key.lower()
    shown = list(value) if isinstance(value, tuple) else value
    for one in shown if isinstance(shown, list) else [shown]:
        assert not isinstance(one, str) or is_cleartext(one)
    return shown


@given(DRAFTS, st.integers(1, 2**40))
def test_a_leaf_is_the_compact_json_of_its_entry_or_is_refused(draft: EntryDraft, number: int) -> None:
    run_seq = None if draft.run_id is None else number
    try:
        wanted = json.dumps(said(draft, run_seq), ensure_ascii=False, separators=(",", ":")).encode()
    except (AssertionError, UnicodeEncodeError):
        wanted = b""

    if wanted:
        assert encode_leaf(draft, run_seq) == wanted
    else:
        with pytest.raises(ValueError):  # noqa: PT011 which of several fields it names depends on their order
            encode_leaf(draft, run_seq)
