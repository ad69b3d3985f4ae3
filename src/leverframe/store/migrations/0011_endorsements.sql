-- What people endorsed in runs that have not ended; every row carries a MAC, as those of the rest of the authority do.
CREATE TABLE endorsements (
    endorsement_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    step TEXT NOT NULL,
    integrity TEXT NOT NULL,
    value_digest BLOB NOT NULL,
    detail_ref TEXT NOT NULL,
    endorsed_by TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    tag BLOB NOT NULL
) STRICT;

PRAGMA user_version = 11;
