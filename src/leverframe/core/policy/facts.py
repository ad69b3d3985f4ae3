"""Which facts a tool's rules need, in an order in which they can be read.

Knows: that a fact may rest on other facts.  Never: reads one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from leverframe.domain.contracts import FactSpec, ToolFact
from leverframe.domain.ids import ToolName
from leverframe.domain.tools import ToolSpec

_FACT_NAME = re.compile(r"\bfacts\.([A-Za-z_][A-Za-z0-9_]*)")


def facts_in_order(wanted: Iterable[str], facts: Mapping[str, FactSpec]) -> tuple[str, ...]:
    """The wanted facts and all that they rest on, each after what it rests on; undeclared names are left out.

    Raises:
        ValueError: facts rest on each other in a circle; `check` has refused such a contract before.
    """
    order: dict[str, None] = {}
    for name in sorted(wanted):
        _visit(name, facts, order, ())
    return tuple(order)


def own_reads(facts: Mapping[str, FactSpec], tools: Mapping[ToolName, ToolSpec]) -> frozenset[ToolName]:
    """The tools that the door may read by itself: those of facts, and the reconcile tools of writes."""
    of_facts = {fact.tool for fact in facts.values() if isinstance(fact, ToolFact)}
    return frozenset(of_facts | {spec.reconcile.tool for spec in tools.values() if spec.reconcile is not None})


def _visit(name: str, facts: Mapping[str, FactSpec], order: dict[str, None], above: tuple[str, ...]) -> None:
    fact = facts.get(name)
    if fact is None or name in order:
        return
    if name in above:
        msg = f"Facts rest on each other in a circle: {' -> '.join((*above, name))}"
        raise ValueError(msg)
    for other in _rests_on(fact):
        _visit(other, facts, order, (*above, name))
    order[name] = None


def _rests_on(fact: FactSpec) -> Iterator[str]:
    texts = fact.args.values() if isinstance(fact, ToolFact) else fact.of
    for text in texts:
        yield from _FACT_NAME.findall(text)
