-- History asks of tool calls alone, and most steps of an outside agent are model calls: they stay out of its indices.
DROP INDEX steps_by_tool;
CREATE INDEX steps_by_tool ON steps (name, started_us) WHERE kind = 'tool';
DROP INDEX steps_by_run;
CREATE INDEX steps_by_run ON steps (run_id, name, started_us) WHERE kind = 'tool';

PRAGMA user_version = 10;
