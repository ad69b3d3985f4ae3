-- Values are sealed under keys that the database holds in wrapped form only, and approvals carry a tag.  The clear rows
-- are set aside here; `store.sqlite.sealing` seals them in the transaction of the next migration, which drops them.

-- holder is whose key it is: a subject's, a run's or the tenant's.  A destroyed key has a row and no bytes.
CREATE TABLE data_keys (
    tenant TEXT NOT NULL,
    key_id BLOB NOT NULL,
    holder BLOB NOT NULL,
    wrapped BLOB,
    PRIMARY KEY (tenant, key_id)
) STRICT;
CREATE UNIQUE INDEX data_keys_live ON data_keys (tenant, holder) WHERE wrapped IS NOT NULL;

DROP INDEX disclosures_by_entry;
ALTER TABLE disclosures RENAME TO kept_disclosures;
CREATE TABLE disclosures (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;
CREATE INDEX disclosures_by_entry ON disclosures (entry_id);

ALTER TABLE approval_answers RENAME TO kept_answers;
CREATE TABLE approval_answers (
    answer_id INTEGER PRIMARY KEY,
    approval_id TEXT NOT NULL REFERENCES approvals (approval_id),
    principal TEXT NOT NULL,
    word TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    proof TEXT NOT NULL,
    viewed_us INTEGER,
    key_id BLOB,
    reason BLOB,
    UNIQUE (approval_id, principal)
) STRICT;

ALTER TABLE approvals ADD COLUMN tag BLOB;

PRAGMA user_version = 4;
