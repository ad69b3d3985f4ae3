"""The bytes of an evidence entry.

Knows: how an entry becomes one line of compact JSON with a fixed key order.  These bytes are hashed and kept verbatim;
nobody ever encodes them again.  Never: lets free text or a personal value through in clear.
"""

import re
from operator import attrgetter

import msgspec

from leverframe.domain.evidence import LEAF_VERSION, EntryDraft
from leverframe.domain.time import rfc3339

MAX_LEAF_BYTES = 65_535

# Ids, hashes and enums have no white space and no control characters; sentences do.
_is_cleartext = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}").fullmatch
# Keys of `detail` are ours; the pattern keeps them apart from anything that a caller could choose.
_is_detail_key = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_encode = msgspec.json.Encoder().encode

# In the order of the leaf.  Absent (None or empty) fields are left out; zero is a value.
_BEFORE_RUN = ("tenant", "environment")
_AFTER_RUN = (
    "step",
    "cause",
    "actor",
    "actor_version",
    "on_behalf_of",
    "tool",
    "tool_version",
    "tool_schema_sha256",
    "effect_class",
    "action_digest",
    "idempotency_key",
    "policy_digest",
    "rule",
    "decision",
    "approval_id",
    "release_digest",
    "provider",
    "model",
    "region",
    "input_tokens",
    "output_tokens",
    "cost_microusd",
    "outcome",
)


_before_run = attrgetter(*_BEFORE_RUN)
_after_run = attrgetter(*_AFTER_RUN)


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
    leaf: dict[str, object] = {
        "v": LEAF_VERSION,
        "entry_id": draft.entry_id,
        "at": rfc3339(draft.at),
        "type": draft.type.value,
    }
    _put(leaf, _BEFORE_RUN, _before_run(draft))
    if draft.run_id is not None:
        leaf["run_id"], leaf["run_seq"] = _cleartext("run_id", draft.run_id), run_seq
    _put(leaf, _AFTER_RUN, _after_run(draft))
    if draft.labels is not None:
        leaf["labels"] = {
            "integrity": draft.labels.integrity.word,
            "confidentiality": draft.labels.confidentiality.word,
        }
    if draft.argument_labels:
        leaf["argument_labels"] = {
            _cleartext("argument_labels", name): trust.word for name, trust in sorted(draft.argument_labels.items())
        }
    if draft.detail:
        leaf["detail"] = _detail(draft)
    commitments = sorted([one.digest for one in draft.disclosures if not one.is_redacted])
    if commitments:
        leaf["_sd"] = commitments
    encoded = _encode(leaf)
    if len(encoded) > MAX_LEAF_BYTES:
        raise ValueError(f"Entry {draft.entry_id!r} has {len(encoded)} bytes, a leaf holds at most {MAX_LEAF_BYTES}")
    return encoded


def _put(leaf: dict[str, object], names: tuple[str, ...], values: tuple[str | int | None, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        if value is None or value == "":
            continue
        # In the loop and not in a function: an entry has a dozen of these.
        if isinstance(value, str) and _is_cleartext(value) is None:
            raise _no_cleartext(name)
        leaf[name] = value


def _detail(draft: EntryDraft) -> dict[str, object]:
    detail: dict[str, object] = {}
    for key, value in sorted(draft.detail.items()):
        if _is_detail_key(key) is None:
            raise ValueError(f"A key of detail is lower_snake_case, got {key!r} in entry {draft.entry_id!r}")
        if isinstance(value, tuple):
            detail[key] = [_cleartext(key, one) for one in value]
        else:
            detail[key] = _cleartext(key, value) if isinstance(value, str) else value
    return detail


def _cleartext(name: str, text: str) -> str:
    if _is_cleartext(text) is None:
        raise _no_cleartext(name)
    return text


def _no_cleartext(name: str) -> ValueError:
    # The value is not repeated: it may be the personal text that must not get into a log.
    return ValueError(f"{name!r} is logged in clear and takes an id, hash or enum of 1 to 256 characters, no text")
