-- API keys, kill switches and raised budgets.  Every row carries a MAC, and `authority` one over all of them with their
-- generation, so that a row that was added, changed or taken away with SQL is seen.

CREATE TABLE authority (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,
    holder TEXT NOT NULL,
    tag BLOB NOT NULL
) STRICT;

CREATE TABLE api_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    team TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL,
    workflows TEXT NOT NULL,
    environments TEXT NOT NULL,
    scopes TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER,
    replaces TEXT,
    tag BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kill_switches (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    set_by TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    reason_ref TEXT NOT NULL,
    tag BLOB NOT NULL,
    PRIMARY KEY (scope, name, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_raises (
    raise_id INTEGER PRIMARY KEY,
    budget TEXT NOT NULL,
    tenant TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    until_us INTEGER NOT NULL,
    raised_by TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    reason_ref TEXT NOT NULL,
    tag BLOB NOT NULL
) STRICT;

CREATE INDEX leaves_of_authority ON leaves (tenant, leaf_index)
 WHERE type IN ('key.created', 'key.rotated', 'key.revoked', 'killswitch.set', 'budget.raised');

PRAGMA user_version = 7;
