-- A run's row carries a MAC, so that nobody without the key points it at another release, or opens it again.
-- It is NULL in what an earlier version wrote, and set when the database is opened, where the log says the same.

ALTER TABLE runs ADD COLUMN tag BLOB;
CREATE INDEX runs_untagged ON runs (run_id) WHERE tag IS NULL;

PRAGMA user_version = 8;
