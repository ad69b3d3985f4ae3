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
from typing import Any, Final, Literal, ParamSpec, TypedDict, TypeVar, Unpack

__all__ = ["TOOL_ATTRIBUTE", "ToolDeclaration", "ToolKeys", "ToolRefused", "tool"]

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


class ToolKeys(TypedDict, total=False):
    """What a decorator may say; the keys of a tool spec, in the form that reads best in Python."""

    effect: EffectWord  # what it does to the world; unsaid, `irreversible`
    name: str  # the tool's name; unsaid, the function's
    version: int  # goes up whenever the tool means something else; unsaid, 1
    description: str  # what the agent is told; unsaid, the first paragraph of the docstring
    args: Mapping[str, Mapping[str, str]]  # what each is for: {"amount_usd": {"role": "amount", "currency": "USD"}}
    idempotency: str  # the parameter that carries the key; the door fills it in, an agent cannot
    reconcile: Mapping[str, object]  # how to ask whether a write happened, as in a tool spec
    once_per: Mapping[str, object]  # {"keys": ["order_id"], "within": "24h"}
    cost_usd: Decimal | int  # the vendor's fee for a call
    timeout_s: Decimal | int  # how long one attempt may take, in seconds; unsaid, 10
    retries: Mapping[str, object]  # {"max": 3, "on": ["timeout", "5xx"]}
    max_parallel: int  # requests at once for a tenant in a process; unsaid, 32
    breaker: Mapping[str, object]  # {"failures": 5, "rest_s": 30}: when it is left alone for a while
    cache_s: Decimal | int  # how long a read's answer may be given again, in seconds
    output_trust: Mapping[str, TrustWord]  # the integrity of the answer, by JSON pointer; `default` is all of it
    output_confidentiality: Literal["public", "tenant", "secret"]  # who may read the answer; unsaid, `tenant`
    output_types: Mapping[str, str]  # the semantic type of a field that goes by another name: {"/id": "order_id"}
    endorse: Mapping[str, str]  # by pointer, the type whose pattern makes a value of the answer tenant-record
    environments: Sequence[str]  # where it may be called; unsaid, everywhere
    credential: str  # a `secret://` reference, handed to the parameter `credential`
    scopes: Sequence[str]  # what the credential must be allowed; `doctor` names one that may do more
    summary: str  # the approver's sentence, with `{argument}` in it
    amount_usd: str  # the fact that holds the dollars a threshold reads, such as `facts.refund_value`
    broad: str  # why a tool that takes a URL, a command, SQL or code may exist


# A word of the decorator that stands for a key within a map of the spec.
_WITHIN = {"idempotency": ("idempotency", "argument"), "amount_usd": ("amount", "usd"), "broad": ("broad", "because")}


def tool(**said: Unpack[ToolKeys]) -> Callable[[Callable[_Params, _Answer]], Callable[_Params, _Answer]]:
    """Declare a function as a tool.

    Its input schema comes from the types of its parameters, its output schema from its return type; amounts are
    `Decimal`.  The words are those of `ToolKeys`; a wrong one is an error with its line when the project loads.
    """

    def declare(function: Callable[_Params, _Answer]) -> Callable[_Params, _Answer]:
        # Any: every function has a name, which the type of a callable does not say.
        named: Any = function
        keys: dict[str, object] = {"tool": said.get("name", named.__name__)}
        for word, value in said.items():
            if word in _WITHIN:
                key, inner = _WITHIN[word]
                keys[key] = {inner: value}
            elif word != "name":
                keys[word] = value
        setattr(function, TOOL_ATTRIBUTE, ToolDeclaration(keys=keys))
        return function

    return declare
