"""The decorator that makes a typed Python function a tool.

It only attaches what the author says about the function: the same facts, under the same names, as a YAML tool spec.
The function stays an ordinary function that tests can call.  The module that holds it is the project's own code:
loading the project runs it, with all the rights of the process.

    @tool(effect="keyed", idempotency="idempotency_key", args={"amount_usd": {"role": "amount"}})
    def issue_refund(order_id: str, amount_usd: Decimal, *, idempotency_key: str) -> Refund: ...
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, ParamSpec, TypeVar

__all__ = ["TOOL_ATTRIBUTE", "ToolDeclaration", "ToolRefused", "tool"]

TOOL_ATTRIBUTE: Final = "__leverframe_tool__"

EffectWord = Literal["read", "idempotent", "keyed", "reconcilable", "irreversible"]
TrustWord = Literal["system", "user", "tenant-record", "third-party"]

_Params = ParamSpec("_Params")
_Answer = TypeVar("_Answer")


class ToolRefused(Exception):
    """Raised by a tool that refused, and so had no effect: the agent is told the message, and may mend its call.

    Any other exception of a write means that its effect is unknown.
    """


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """What a decorator says, under the keys of a tool spec; only what was said."""

    keys: Mapping[str, object]


def tool(
    *,
    effect: EffectWord = "irreversible",
    name: str = "",
    version: int = 1,
    description: str = "",
    args: Mapping[str, Mapping[str, str]] | None = None,
    idempotency: str = "",
    reconcile: Mapping[str, object] | None = None,
    once_per: Mapping[str, object] | None = None,
    cost_usd: Decimal | float = 0,
    timeout_s: float = 10,
    retries: Mapping[str, object] | None = None,
    output_trust: Mapping[str, TrustWord] | None = None,
    output_confidentiality: Literal["public", "tenant", "secret"] | None = None,
    environments: Sequence[str] = (),
    credential: str = "",
    summary: str = "",
    amount_usd: str = "",
    broad: str = "",
) -> Callable[[Callable[_Params, _Answer]], Callable[_Params, _Answer]]:
    """Declare a function as a tool.

    Its input schema comes from the parameters' types, its output schema from the return type; amounts are `Decimal`.

    Args:
        effect: what it does to the world; unknown is `irreversible`.
        name: the tool's name; the function's where empty.
        version: goes up whenever the tool means something else.
        description: what the agent is told; the first paragraph of the docstring where empty.
        args: what each argument is for: `{"amount_usd": {"role": "amount", "currency": "USD"}}`.
        idempotency: the parameter that carries the idempotency key.  The door fills it in; an agent cannot.
        reconcile: how to ask whether a write happened, as in a tool spec.
        once_per: `{"keys": ["order_id"], "within": "24h"}`.
        cost_usd: the vendor's fee for a call.
        timeout_s: how long one attempt may take, in seconds.
        retries: `{"max": 3, "on": ["timeout", "5xx"]}`.
        output_trust: the integrity of the answer, by JSON pointer; `default` is all of it.
        output_confidentiality: who may read the answer; `tenant` where not said.
        environments: where it may be called; everywhere where empty.
        credential: a `secret://` reference, handed to the parameter `credential`.
        summary: the approver's sentence, with `{argument}` in it.
        amount_usd: the fact that holds the dollars a threshold reads, such as `facts.refund_value`.
        broad: why a tool that takes a URL, a command, SQL or code may exist.
    """
    said: dict[str, object] = {
        "effect": effect,
        "version": version,
        "description": description,
        "args": args,
        "idempotency": {"argument": idempotency} if idempotency else None,
        "reconcile": reconcile,
        "once_per": once_per,
        "cost_usd": cost_usd,
        "timeout_s": timeout_s,
        "retries": retries,
        "output_trust": output_trust,
        "output_confidentiality": output_confidentiality,
        "environments": list(environments),
        "credential": credential,
        "summary": summary,
        "amount": {"usd": amount_usd} if amount_usd else None,
        "broad": {"because": broad} if broad else None,
    }
    kept = {key: value for key, value in said.items() if value or key == "cost_usd"}

    def declare(function: Callable[_Params, _Answer]) -> Callable[_Params, _Answer]:
        # Any: every function has a name, which the type of a callable does not say.
        named: Any = function
        declaration = ToolDeclaration(keys={"tool": name or named.__name__, **kept})
        setattr(function, TOOL_ATTRIBUTE, declaration)
        return function

    return declare
