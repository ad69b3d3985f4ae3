-- Fewer B-trees and fewer pages for each write: a reservation is one row, a value hangs on its step, a business act is
-- a column of it, and where it can an index follows time, so that the writes of a batch share its last page.

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
CREATE INDEX reservations_open ON reservations (reservation_id) WHERE state = 'open';
INSERT INTO reservations (reservation_id, run_id, path, amounts, state)
SELECT reservation_id, run_id, path, amounts, state FROM kept_reservations;
DROP TABLE kept_reservations;

ALTER TABLE call_values RENAME TO kept_call_values;
CREATE TABLE call_values (
    step_id INTEGER NOT NULL REFERENCES steps (step_id),
    arg TEXT NOT NULL,
    amount INTEGER,
    value_digest BLOB NOT NULL,
    PRIMARY KEY (step_id, arg)
) STRICT, WITHOUT ROWID;
INSERT INTO call_values
SELECT s.step_id, v.arg, v.amount, v.value_digest
  FROM kept_call_values AS v
  JOIN steps AS s ON s.run_id = v.run_id AND s.path = v.path;
DROP TABLE kept_call_values;

ALTER TABLE steps ADD COLUMN once_digest BLOB;
UPDATE steps
   SET once_digest = (SELECT k.key_digest FROM once_keys AS k WHERE k.run_id = steps.run_id AND k.path = steps.path);
DROP TABLE once_keys;
CREATE INDEX steps_by_once ON steps (once_digest) WHERE once_digest IS NOT NULL;

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

DROP INDEX disclosures_by_run;
CREATE INDEX disclosures_by_entry ON disclosures (entry_id);

PRAGMA user_version = 3;
