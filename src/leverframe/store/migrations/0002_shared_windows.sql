-- Windows that belong to a tenant and a period rather than to one run, their flushed ceilings, and what tells an
-- unclean end of the machine.  Tables are made anew, as SQLite cannot make a column nullable; the rows are carried over.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kept_windows AS
SELECT w.window_id, w.unit, w.run_id, r.tenant, w.limit_value, w.settled, w.reserved, w.source_file, w.source_line, w.key
  FROM windows AS w
  JOIN runs AS r ON r.run_id = w.run_id;
CREATE TABLE kept_reservations AS SELECT * FROM reservations;
DROP TABLE reservations;
DROP TABLE windows;

CREATE TABLE windows (
    window_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    tenant TEXT NOT NULL,
    run_id TEXT REFERENCES runs (run_id),
    resets_us INTEGER,
    limit_value INTEGER NOT NULL,
    ceiling INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    source_file TEXT NOT NULL,
    source_line INTEGER NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (window_id, unit)
) STRICT, WITHOUT ROWID;
CREATE INDEX windows_by_run ON windows (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE reservations (
    reservation_id TEXT NOT NULL,
    window_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'voided')),
    PRIMARY KEY (reservation_id, window_id, unit),
    FOREIGN KEY (window_id, unit) REFERENCES windows (window_id, unit)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_open ON reservations (run_id) WHERE state = 'open';

INSERT INTO windows (
    window_id, unit, tenant, run_id, resets_us, limit_value, ceiling, settled, reserved, source_file, source_line, key
)
SELECT window_id, unit, tenant, run_id, NULL, limit_value, settled + reserved, settled, reserved, source_file,
       source_line, key
  FROM kept_windows;
INSERT INTO reservations SELECT * FROM kept_reservations;
DROP TABLE kept_windows;
DROP TABLE kept_reservations;

PRAGMA user_version = 2;
