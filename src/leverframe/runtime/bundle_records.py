"""What a bundle holds of each run, so that its decisions can be made again without the log that they were made in.

Knows: how a bundle lays out entries, values and the files of a release.  Never: runs code of a bundle: Python files of
a release are taken from where the caller says, by their digest, and from nowhere else.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping

from leverframe.core.canonical import decode, encode
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import RunId
from leverframe.domain.json import Json, JsonObject
from leverframe.runtime.redeciding import RunRecord

# The bytes of a project's file by its name; None where it is not there.
ReadFile = Callable[[str], bytes | None]
_PARTS = 3


def records_in(files: Mapping[str, bytes], read: ReadFile) -> Iterator[RunRecord]:
    """Each run of a bundle that was verified, in the order of its first entry.

    What a release has and the bundle has not is read from the project, where it has the same digest.
    """
    entries: dict[str, list[JsonObject]] = {}
    for line in files.get("leaves.jsonl", b"").splitlines():
        entry = _object(line)
        if isinstance(entry.get("run_id"), str):
            entries.setdefault(str(entry["run_id"]), []).append(entry)
    given = dict(_disclosures(files.get("disclosures.jsonl", b"")))
    for run_id, found in entries.items():
        digest = str(found[0].get("release_digest", ""))
        release = dict(_release(files, digest, read))
        yield RunRecord(run_id=RunId(run_id), entries=found, disclosures=given, files=release)


def _disclosures(lines: bytes) -> Iterator[tuple[str, Disclosure]]:
    for line in lines.splitlines():
        text = _object(line).get("disclosure")
        if not isinstance(text, str):
            continue
        try:
            triple = _value(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:  # of which binascii.Error is one; then nothing of it is here
            continue
        if isinstance(triple, list) and len(triple) == _PARTS:
            salt, name, value = triple
            # The digest of what is exchanged, since a value that was written by another version may be spelt otherwise.
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            yield digest, Disclosure(digest=digest, salt=str(salt), name=str(name), value_bytes=encode(value))


def _release(files: Mapping[str, bytes], digest: str, read: ReadFile) -> Iterator[tuple[str, bytes]]:
    manifest = _value(_by_digest(files, digest) or b"[]")
    for one in manifest if isinstance(manifest, list) else ():
        if not isinstance(one, Mapping):
            continue
        name, sha256 = str(one.get("name")), str(one.get("sha256"))
        content = None if name.endswith(".py") else _by_digest(files, sha256)
        if content is None:
            here = read(name)
            content = here if here is not None and hashlib.sha256(here).hexdigest() == sha256 else None
        if content is not None:
            yield name, content


def _by_digest(files: Mapping[str, bytes], digest: str) -> bytes | None:
    content = files.get(f"policy/{digest}")
    return content if content is not None and hashlib.sha256(content).hexdigest() == digest else None


def _object(line: bytes) -> JsonObject:
    value = _value(line)
    return value if isinstance(value, Mapping) else {}


def _value(data: bytes) -> Json:
    try:
        return decode(data)
    except JsonInvalid:
        return None
