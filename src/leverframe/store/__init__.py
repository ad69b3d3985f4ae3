"""The store: the journal, budgets, approvals and the evidence log in one database.

Knows: SQL, and nothing of what it means; `runtime` makes every id and time and proposes, the writer commits.
"""

from leverframe.store.sqlite.audit import SqliteAudit, open_audit
from leverframe.store.sqlite.recovery import recover_sqlite
from leverframe.store.sqlite.store import Store, open_sqlite

__all__ = ["SqliteAudit", "Store", "open_audit", "open_sqlite", "recover_sqlite"]
