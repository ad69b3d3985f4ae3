"""The door: the only way to a model or a tool.  Loads, decides, records, acts, settles.

Rooms 2 to 6 of ARCHITECTURE.md: `asking` reads what a decision needs, `core.policy` decides, `recording` proposes the
decision to the one writer, `executing` acts and `recording` proposes the outcome.  `recovering` answers for calls that
an earlier process left behind.
"""

from leverframe.runtime.door.door import Door

__all__ = ["Door"]
