-- Fewer B-trees for each write: a reservation is one row, small tables are their own index, and no index serves
-- nothing but a question that nobody asks.  Rows are carried over.

CREATE TABLE kept_reservations AS
SELECT reservation_id, run_id, path, json_group_array(json_array(window_id, unit, amount)) AS amounts,
       max(state) AS state
  FROM (SELECT * FROM reservations ORDER BY reservation_id, window_id, unit)
 GROUP BY reservation_id;
DROP TABLE reservations;
CREATE TABLE reservations (
    reservation_id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    amounts TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'voided'))
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_open ON reservations (run_id) WHERE state = 'open';
INSERT INTO reservations (reservation_id, run_id, path, amounts, state)
SELECT reservation_id, run_id, path, amounts, state FROM kept_reservations;
DROP TABLE kept_reservations;

ALTER TABLE call_values RENAME TO kept_call_values;
CREATE TABLE call_values (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    path TEXT NOT NULL,
    arg TEXT NOT NULL,
    tool TEXT NOT NULL,
    amount INTEGER,
    value_digest BLOB NOT NULL,
    PRIMARY KEY (run_id, path, arg)
) STRICT, WITHOUT ROWID;
INSERT INTO call_values SELECT run_id, path, arg, tool, amount, value_digest FROM kept_call_values;
DROP TABLE kept_call_values;

ALTER TABLE once_keys RENAME TO kept_once_keys;
CREATE TABLE once_keys (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    path TEXT NOT NULL,
    tool TEXT NOT NULL,
    key_digest BLOB NOT NULL,
    PRIMARY KEY (run_id, path)
) STRICT, WITHOUT ROWID;
INSERT INTO once_keys SELECT run_id, path, tool, key_digest FROM kept_once_keys;
DROP TABLE kept_once_keys;
CREATE INDEX once_keys_by_key ON once_keys (key_digest);

ALTER TABLE leaves RENAME TO kept_leaves;
CREATE TABLE leaves (
    tenant TEXT NOT NULL,
    leaf_index INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    run_id TEXT,
    run_seq INTEGER,
    type TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    leaf_hash BLOB NOT NULL,
    PRIMARY KEY (tenant, leaf_index)
) STRICT;
INSERT INTO leaves SELECT tenant, leaf_index, entry_id, run_id, run_seq, type, at_us, leaf, leaf_hash FROM kept_leaves;
DROP TABLE kept_leaves;
CREATE UNIQUE INDEX leaves_by_run ON leaves (tenant, run_id, run_seq) WHERE run_id IS NOT NULL;

PRAGMA user_version = 3;
