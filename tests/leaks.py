"""Credentials of the tests, looked for by value in all that the tests wrote.

A test's credential is a literal that begins with `sk-` or `hvs.` in the sources of the tests; an API key is whatever
has the form of one.  Exempt is a file that holds nothing but the credential, since that is the source it was read from,
and the API key in an `agent.env`: the README has a person write what `keys create` prints into that file, on purpose.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from leverframe.core.scrub import spellings

_LITERAL = re.compile(r"""["'](?P<value>(?:sk-|hvs\.)[A-Za-z0-9._-]{6,})["']""")
_API_KEY = re.compile(rb"(?P<before>[A-Za-z0-9_-]?)lf_(?P<id>[A-Za-z0-9]{22})_[A-Za-z0-9_-]{43}")
_SAVED_KEY = "agent.env"
# What `zipfile` raises for archives that a test damaged on purpose: a name that is no UTF-8 is a `ValueError`.
_DAMAGED = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error, struct.error)
_TESTS = Path(__file__).parent


def credentials() -> frozenset[str]:
    """Every credential that stands in a test."""
    sources = (path.read_text(encoding="utf-8") for path in _TESTS.rglob("*.py"))
    return frozenset(match["value"] for text in sources for match in _LITERAL.finditer(text))


def leaks_in(folder: Path, known: frozenset[str]) -> Iterator[str]:
    """Each place below a folder where a credential stands, in any of its spellings; zip files are looked into."""
    needles = {form.encode(): value for value in known for form in spellings([value])}
    for path in sorted(folder.rglob("*")):
        # A test that removes its own folder later than this is its own affair.
        with suppress(FileNotFoundError, PermissionError):
            if path.is_symlink() or not path.is_file() or path.suffix in {".py", ".pyc", ".whl", ".so"}:
                continue
            for place, content in _contents(path):
                is_saved_key = place == str(path) and path.name == _SAVED_KEY
                found = _found(content, needles, is_saved_key=is_saved_key)
                yield from (f"{place}: {one}" for one in found)


def leaks_of(text: str, known: frozenset[str]) -> Iterator[str]:
    """The credentials that stand in a text."""
    yield from (value for value in known for form in spellings([value]) if form in text)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    yield str(path), path.read_bytes()
    if path.suffix == ".zip":
        with suppress(*_DAMAGED), zipfile.ZipFile(path) as bundle:
            for entry in bundle.infolist():
                # What is damaged in one entry hides none of the others.
                with suppress(*_DAMAGED):
                    yield f"{path}!{entry.filename}", bundle.read(entry)


def _found(content: bytes, needles: dict[bytes, str], *, is_saved_key: bool) -> Iterator[str]:
    for needle, value in needles.items():
        if needle in content and content.strip() != needle:
            yield value
    if not is_saved_key:
        for match in _API_KEY.finditer(content):
            # A row holds its values without a gap: a hundred thousand digests beside each other spell such a form by
            # chance. A key of that database is named there by its id.
            if not match["before"] or b"key_" + match["id"] in content:
                yield f"an API key, lf_{match['id'][:4].decode()}…"
