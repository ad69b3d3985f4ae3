-- The head of each tree carries a MAC, so that nobody without the key can have entries signed that the store never wrote.
-- It is NULL in what an earlier version wrote, and set when the database is opened under a signed head that covers all.

ALTER TABLE trees ADD COLUMN tag BLOB;

PRAGMA user_version = 6;
