-- The schema after all migrations, to be read; the migrations make it.  A test holds the two equal.
-- Times are integer microseconds since the Unix epoch (`_us`); money is integer micro-dollars.
-- Owner, writer and trust of each table stand at the top of the module that holds its SQL (leverframe.store.sqlite).

-- "LVFR": tells our file from any other SQLite database.
PRAGMA application_id = 1280722514;

-- One row, `boot`: the boot under which something may be unflushed; empty after a clean end.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- tag is the MAC of the row, under a key that is not in the database.
CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    environment TEXT NOT NULL,
    workflow TEXT NOT NULL,
    kind TEXT NOT NULL,
    release_digest TEXT NOT NULL,
    policy_digest TEXT NOT NULL,
    initiator TEXT NOT NULL,
    launcher TEXT NOT NULL,
    opened_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    stop_reason TEXT NOT NULL,
    handoff_queue TEXT NOT NULL,
    ended_us INTEGER,
    active_us INTEGER NOT NULL,
    waited_us INTEGER NOT NULL,
    subject_digest BLOB NOT NULL,
    item TEXT NOT NULL,
    input_ref TEXT NOT NULL,
    output_ref TEXT NOT NULL,
    is_recorded_model INTEGER NOT NULL
, tag BLOB) STRICT;
CREATE INDEX runs_by_time ON runs (opened_us);
CREATE INDEX runs_by_subject ON runs (subject_digest);
CREATE INDEX runs_by_initiator ON runs (initiator, coalesce(ended_us, 9223372036854775807));
CREATE INDEX runs_untagged ON runs (run_id) WHERE tag IS NULL;
-- A run that a key opened is named in `item`; of two workers that open it at once, one loses.
CREATE UNIQUE INDEX runs_live ON runs (tenant, workflow, environment, item)
 WHERE state <> 'ended' AND item GLOB 'key:*';

-- step_id is the order in which steps were first written; it has no other meaning.
CREATE TABLE steps (
    step_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    state TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    finished_us INTEGER,
    action_digest TEXT NOT NULL,
    decision TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_source TEXT NOT NULL,
    args_ref TEXT NOT NULL,
    result_ref TEXT NOT NULL,
    detail_ref TEXT NOT NULL,
    approval_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    cost_microusd INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    error TEXT NOT NULL,
    is_counted INTEGER NOT NULL, once_digest BLOB,
    UNIQUE (run_id, path)
) STRICT;
CREATE INDEX steps_by_tool ON steps (name, started_us) WHERE kind = 'tool';
CREATE INDEX steps_by_run ON steps (run_id, name, started_us) WHERE kind = 'tool';
CREATE INDEX steps_by_once ON steps (once_digest) WHERE once_digest IS NOT NULL;

-- amount is in millionths; NULL where the argument has no exact amount.
CREATE TABLE call_values (
    step_id INTEGER NOT NULL REFERENCES steps (step_id),
    arg TEXT NOT NULL,
    amount INTEGER,
    value_digest BLOB NOT NULL,
    PRIMARY KEY (step_id, arg)
) STRICT, WITHOUT ROWID;

-- run_id is NULL where the window is a tenant's and spans runs; resets_us is the end of its period.
-- settled + reserved <= ceiling in all that is flushed (docs/adr/0007-visible-and-durable.md).
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

-- amounts is JSON: [window id, unit, amount] of each part, by id and unit.
CREATE TABLE reservations (
    reservation_id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    amounts TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'voided'))
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_open ON reservations (reservation_id) WHERE state = 'open';

-- tag is the MAC of the row and its answers, under a key that is not in the database.
CREATE TABLE approvals (
    approval_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    path TEXT NOT NULL,
    tool TEXT NOT NULL,
    action_digest TEXT NOT NULL,
    rules TEXT NOT NULL,
    requirement TEXT NOT NULL,
    initiator TEXT NOT NULL,
    launcher TEXT NOT NULL,
    selector_digest BLOB NOT NULL,
    asked_us INTEGER NOT NULL,
    decide_by_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    execute_by_us INTEGER,
    decided_us INTEGER,
    subject_digest BLOB NOT NULL
, tag BLOB) STRICT;
CREATE INDEX approvals_by_state ON approvals (state, asked_us);
CREATE INDEX approvals_by_selector ON approvals (selector_digest);

-- answer_id is the order of the answers; one person answers one approval once.  reason is sealed, under key_id.
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

CREATE TABLE artifacts (
    sha256 TEXT NOT NULL PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE release_files (
    release_digest TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES artifacts (sha256),
    PRIMARY KEY (release_digest, name)
) STRICT;

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
CREATE UNIQUE INDEX leaves_by_run ON leaves (tenant, run_id, run_seq) WHERE run_id IS NOT NULL;

-- The head of each tenant's tree: its frontier is the hashes of its perfect subtrees, largest first, joined.
CREATE TABLE trees (
    tenant TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL
, tag BLOB) STRICT;

-- Complete subtrees of 2**8, 2**16 and 2**24 leaves, so that no proof reads more than 256 hashes a level.
CREATE TABLE tree_nodes (
    tenant TEXT NOT NULL,
    level INTEGER NOT NULL,
    node_index INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (tenant, level, node_index)
) STRICT;

CREATE TABLE checkpoints (
    tenant TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    note BLOB NOT NULL
) STRICT;

-- Name, salt and value stand in `sealed`, under a key of `data_keys`.
CREATE TABLE disclosures (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, entry_id, digest)
) STRICT;

-- holder is whose key it is: a subject's, a run's or the tenant's.  A destroyed key has a row and no bytes.
CREATE TABLE data_keys (
    tenant TEXT NOT NULL,
    key_id BLOB NOT NULL,
    holder BLOB NOT NULL,
    wrapped BLOB,
    PRIMARY KEY (tenant, key_id)
) STRICT;
CREATE UNIQUE INDEX data_keys_live ON data_keys (tenant, holder) WHERE wrapped IS NOT NULL;

-- API keys, kill switches and raised budgets: tag is the MAC of a row, and in `authority` of all of them with their
-- generation; holder is the tenant under whose key it was made.  tenant of a kill switch is empty where it is of all.
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

CREATE INDEX leaves_of_authority ON leaves (tenant, leaf_index)
 WHERE type IN ('key.created', 'key.rotated', 'key.revoked', 'killswitch.set', 'budget.raised');

PRAGMA user_version = 13;
