-- A run that an outside agent's own key or header opened is named in `item`, and one of a name is not ended at a time:
-- of two workers that open it at once, one loses.
CREATE UNIQUE INDEX runs_live ON runs (tenant, workflow, environment, item)
 WHERE state <> 'ended' AND item GLOB 'key:*';

PRAGMA user_version = 9;
