"""The policy of a contract as closures, and the decision of one call.

Knows: deny beats hold beats allow beats the default, which is deny.  Never: reads a clock, a file or a store.
Property: `tests/property/test_policy_fast_equals_slow.py` holds it equal to a slow, obviously correct interpreter.
"""

from leverframe.core.policy.compiled import CompiledPolicy, compile_contract, compile_policy
from leverframe.core.policy.decide import decide, history_still_allows, needed_facts, needed_history
from leverframe.core.policy.once import once_per_values
from leverframe.core.policy.question import (
    Asker,
    GrantedApproval,
    HistoryAnswers,
    ModelQuestion,
    Question,
    StickyDenial,
)
from leverframe.core.policy.rows import ApprovalRow, rules_of_lists

__all__ = [
    "ApprovalRow",
    "Asker",
    "CompiledPolicy",
    "GrantedApproval",
    "HistoryAnswers",
    "ModelQuestion",
    "Question",
    "StickyDenial",
    "compile_contract",
    "compile_policy",
    "decide",
    "history_still_allows",
    "needed_facts",
    "needed_history",
    "once_per_values",
    "rules_of_lists",
]
