"""SQL of `artifacts` and `release_files`.

Owner: releases.  Writer: the store's writer.  Trust: untrusted; content is found by its digest, so an editor can only
make a resume of its runs fail.
"""

import sqlite3
from collections.abc import Mapping

from leverframe.domain.ids import Sha256
from leverframe.domain.proposals import PutArtifact

_PUT_CONTENT = "INSERT INTO artifacts (sha256, content) VALUES (:sha256, :content) ON CONFLICT (sha256) DO NOTHING"

_PUT_NAME = """
INSERT INTO release_files (release_digest, name, sha256) VALUES (:release_digest, :name, :sha256)
ON CONFLICT (release_digest, name) DO NOTHING
"""

_OF_RELEASE = """
SELECT f.name, a.content
  FROM release_files AS f
  JOIN artifacts AS a ON a.sha256 = f.sha256
 WHERE f.release_digest = :release_digest
 ORDER BY f.name
"""


def put(tx: sqlite3.Connection, change: PutArtifact) -> None:
    """Keep one file of a release.  A second time is nothing."""
    tx.execute(_PUT_CONTENT, {"sha256": change.sha256, "content": change.content})
    tx.execute(_PUT_NAME, {"release_digest": change.release_digest, "name": change.name, "sha256": change.sha256})


def of_release(tx: sqlite3.Connection, release_digest: Sha256) -> Mapping[str, bytes]:
    """The bytes of a release's files by name; empty where it is not known."""
    return dict(tx.execute(_OF_RELEASE, {"release_digest": release_digest}).fetchall())
