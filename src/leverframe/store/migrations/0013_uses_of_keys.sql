-- What a key has seen lately is asked of its runs that are open, or were then: the expression gives open ones an end.
CREATE INDEX runs_by_initiator ON runs (initiator, coalesce(ended_us, 9223372036854775807));

PRAGMA user_version = 13;
