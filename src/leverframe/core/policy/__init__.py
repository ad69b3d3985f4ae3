"""The policy of a contract as closures, and the decision of one call.

Knows: deny beats hold beats allow beats the default, which is deny.  Never: reads a clock, a file or a store.
Property: `tests/property/test_policy_fast_equals_slow.py` holds it equal to a slow, obviously correct interpreter.
"""

from leverframe.core.policy.question import (
    Asker,
    GrantedApproval,
    HistoryAnswers,
    ModelQuestion,
    Question,
    StickyDenial,
)

__all__ = ["Asker", "GrantedApproval", "HistoryAnswers", "ModelQuestion", "Question", "StickyDenial"]
