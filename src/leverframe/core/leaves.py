"""The bytes of an evidence entry.

Knows: how an entry becomes one line of compact JSON with a fixed key order.  These bytes are hashed and kept verbatim;
nobody ever encodes them again.  Never: lets free text or a personal value through in clear.
"""

import re
from functools import lru_cache
from operator import attrgetter

import msgspec

from leverframe.domain.evidence import LEAF_VERSION, EntryDraft
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.time import rfc3339

MAX_LEAF_BYTES = 65_535

# Ids, hashes and enums have no white space and no control characters; sentences do.
_is_cleartext = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}").fullmatch
# Keys of `detail` are ours; the pattern keeps them apart from anything that a caller could choose.
_is_detail_key = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_encode = msgspec.json.Encoder().encode

_known_keys: set[str] = set()


class _Labels(msgspec.Struct, frozen=True):
    integrity: str
    confidentiality: str


class _Leaf(msgspec.Struct, omit_defaults=True, kw_only=True):
    """In the order of the leaf.  Absent (None or empty) fields are left out; zero is a value."""

    v: int
    entry_id: str
    at: str
    type: str
    tenant: str | None = None
    environment: str | None = None
    run_id: str | None = None
    run_seq: int | None = None
    step: str | None = None
    cause: str | None = None
    actor: str | None = None
    actor_version: str | None = None
    on_behalf_of: str | None = None
    tool: str | None = None
    tool_version: int | None = None
    tool_schema_sha256: str | None = None
    effect_class: str | None = None
    action_digest: str | None = None
    idempotency_key: str | None = None
    policy_digest: str | None = None
    rule: str | None = None
    decision: str | None = None
    approval_id: str | None = None
    release_digest: str | None = None
    provider: str | None = None
    model: str | None = None
    region: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_microusd: int | None = None
    outcome: str | None = None
    labels: _Labels | None = None
    argument_labels: dict[str, str] | None = None
    detail: dict[str, object] | None = None
    _sd: list[str] | None = None


def is_cleartext(text: str) -> bool:
    """Whether a string may stand in a leaf: 1 to 256 characters without white space or control characters."""
    return _is_cleartext(text) is not None


def encode_leaf(draft: EntryDraft, run_seq: int | None) -> bytes:
    """Write an entry as compact JSON in UTF-8, at most 65,535 bytes, without a line feed.

    `run_seq` counts the entries of `draft.run_id` as 1, 2, 3… in commit order and is None where there is no run.
    `_sd` holds the sorted digests of the disclosures that stand in the leaf itself; redacted ones stand in those.

    Raises:
        ValueError: a field holds free text, `run_seq` does not fit `run_id`, or the leaf is too large: a bug of ours,
            since surfaces check the ids that callers choose with `is_cleartext`.
    """
    if (draft.run_id is None) is not (run_seq is None):
        raise ValueError(f"An entry has a run_seq exactly if it has a run, got {draft.run_id!r} and {run_seq!r}")
    encoded = _encode(_leaf(draft, run_seq))
    if len(encoded) > MAX_LEAF_BYTES:
        raise ValueError(f"Entry {draft.entry_id!r} has {len(encoded)} bytes, a leaf holds at most {MAX_LEAF_BYTES}")
    return encoded


# Texts that many entries have in common: names of tenants, rules, models and the like.
_SHARED = (
    "tenant",
    "environment",
    "run_id",
    "actor",
    "actor_version",
    "on_behalf_of",
    "tool",
    "tool_schema_sha256",
    "effect_class",
    "policy_digest",
    "rule",
    "decision",
    "release_digest",
    "provider",
    "model",
    "region",
    "outcome",
)
_shared_of = attrgetter(*_SHARED)
# Texts of one entry alone.
_OWN = ("step", "cause", "action_digest", "idempotency_key", "approval_id")
_own_of = attrgetter(*_OWN)


def _leaf(draft: EntryDraft, run_seq: int | None) -> _Leaf:
    own = step, cause, action_digest, idempotency_key, approval_id = _own_of(draft)
    if not all(map(_is_cleartext, filter(None, own))):
        raise _no_cleartext(next(name for name, text in zip(_OWN, own, strict=True) if text and not is_cleartext(text)))
    commitments = [one.digest for one in draft.disclosures if not one.is_redacted]
    return msgspec.structs.replace(
        _shared(_shared_of(draft)),
        entry_id=draft.entry_id,
        at=rfc3339(draft.at),
        type=draft.type.value,
        run_seq=run_seq,
        step=step or None,
        cause=cause or None,
        tool_version=draft.tool_version,
        action_digest=action_digest or None,
        idempotency_key=idempotency_key or None,
        approval_id=approval_id or None,
        input_tokens=draft.input_tokens,
        output_tokens=draft.output_tokens,
        cost_microusd=draft.cost_microusd,
        labels=None if draft.labels is None else _labels(draft.labels.integrity, draft.labels.confidentiality),
        argument_labels=_argument_labels(draft) if draft.argument_labels else None,
        detail=_detail(draft) if draft.detail else None,
        _sd=sorted(commitments) if commitments else None,
    )


# The calls of a run make the same few of them, so that each text is looked at once.
@lru_cache(maxsize=1024)
def _shared(texts: tuple[str | None, ...]) -> _Leaf:
    """A leaf with what it has in common with others; texts that are empty are absent, but for a run's id: see below."""
    leaf = _Leaf(v=LEAF_VERSION, entry_id="", at="", type="")
    for field, text in zip(_SHARED, texts, strict=True):
        # An entry of a run has a place in it, which must not stand there without the run.
        if text or (text is not None and field == "run_id"):
            setattr(leaf, field, _cleartext(field, text))
    return leaf


@lru_cache(maxsize=16)
def _labels(integrity: Integrity, confidentiality: Confidentiality) -> _Labels:
    return _Labels(integrity.word, confidentiality.word)


def _argument_labels(draft: EntryDraft) -> dict[str, str]:
    return {_cleartext("argument_labels", name): trust.word for name, trust in sorted(draft.argument_labels.items())}


def _detail(draft: EntryDraft) -> dict[str, object]:
    detail: dict[str, object] = {}
    for key, value in sorted(draft.detail.items()):
        if key not in _known_keys:
            _know_key(key, draft)
        if isinstance(value, str):
            is_clear = _is_cleartext(value) is not None
        else:
            is_clear = not isinstance(value, tuple) or all(map(_is_cleartext, value))
        if not is_clear:
            raise _no_cleartext(key)
        detail[key] = value
    return detail


def _know_key(key: str, draft: EntryDraft) -> None:
    if _is_detail_key(key) is None:
        raise ValueError(f"A key of detail is lower_snake_case, got {key!r} in entry {draft.entry_id!r}")
    _known_keys.add(key)


def _cleartext(name: str, text: str) -> str:
    if _is_cleartext(text) is None:
        raise _no_cleartext(name)
    return text


def _no_cleartext(name: str) -> ValueError:
    # The value is not repeated: it may be the personal text that must not get into a log.
    return ValueError(f"{name!r} is logged in clear and takes an id, hash or enum of 1 to 256 characters, no text")
