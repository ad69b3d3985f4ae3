-- A value is found by the entry that commits to it.  Its digest is random, so that of an index by it each new row touched
-- another page.
ALTER TABLE disclosures RENAME TO kept_disclosures;
DROP INDEX disclosures_by_entry;
CREATE TABLE disclosures (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, entry_id, digest)
) STRICT;
INSERT INTO disclosures
SELECT tenant, digest, entry_id, key_id, sealed, created_us FROM kept_disclosures ORDER BY rowid;
DROP TABLE kept_disclosures;

PRAGMA user_version = 12;
