"""What a condition is evaluated against."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.labels import Label

AttributePath = tuple[str, ...]  # the root first: ("facts", "order", "customer_id")


# Not frozen: one is built for every decision, and a frozen class takes six times as long to build.  Nobody writes to
# one after that.
@dataclass(slots=True, kw_only=True)
class ConditionEnv:
    """The values one decision sees.  What is not in it is unknown, and an unreadable fact is left out.

    Values are JSON with fractions as `Decimal`; a float, like any other foreign type, is unknown.  `labels` maps the
    paths of `Compiled.label_reads` to labels, `history` the queries of `Compiled.history_queries` to answers.
    """

    args: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    run: Mapping[str, object] = field(default_factory=dict)
    call: Mapping[str, object] = field(default_factory=dict)
    labels: Mapping[AttributePath, Label] = field(default_factory=dict)
    history: Mapping[HistoryQuery, object] = field(default_factory=dict)
