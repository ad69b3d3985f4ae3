"""Text hygiene: what a person would not see is taken out, and every removal is told.

Knows: characters, markup and links that carry text past a reader's eye.  Never: adds a character, drops visible text
without naming it, or decides; `is_suspicious` may only raise caution.  Source: docs/labels.md, "Text hygiene".
Properties: `tests/property/test_hygiene.py`; the table of cases: `tests/unit/test_hygiene.py`.
"""

from leverframe.core.hygiene.cleaning import clean_entry, clean_output
from leverframe.core.hygiene.removals import Cleaned, Removed, RemovedKind, counts, is_suspicious

__all__ = ["Cleaned", "Removed", "RemovedKind", "clean_entry", "clean_output", "counts", "is_suspicious"]
