"""The store: the journal, budgets, approvals and the evidence log in one database.

Knows: SQL, and nothing of what it means; `runtime` makes every id and time and proposes, the writer commits.
"""

from leverframe.store.sqlite.store import Store, open_sqlite

__all__ = ["Store", "open_sqlite"]
