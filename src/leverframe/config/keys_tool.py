"""The keys of a tool spec, `tools/NAME.yaml`; the decorator of a Python tool takes the same."""

# ruff: noqa: E501 - a table: one key a row reads better than one over eight lines
from leverframe.config import registry
from leverframe.config.keys_contract import INTEGRITY
from leverframe.config.registry import Key, Tier
from leverframe.config.value_types import (
    AnyValue,
    Group,
    ListOf,
    MapOf,
    Money,
    SchemaObject,
    Seconds,
    Span,
    Text,
    ValueType,
    Whole,
    Words,
)

_ARGUMENT = Text(form="an argument of the tool", max_chars=200)
_POINTER = Text(form="a JSON pointer into the answer; * is any index or key", pattern=r"(?:/[^/]*)+", max_chars=500)
_ARGUMENTS = MapOf(item=registry.ARGUMENT_PATH, key=_ARGUMENT)


def _key(
    path: str,
    value: ValueType,
    doc: str,
    example: str,
    by: str,
    *,
    default: str = "",
    unit: str = "",
    tier: Tier = "first month",
) -> Key:
    return Key(
        file="tool",
        path=path,
        value=value,
        doc=doc,
        example=example,
        default=default,
        unit=unit,
        enforced_by=by,
        tier=tier,
    )


def _later(path: str, doc: str, example: str) -> Key:
    return Key(file="tool", path=path, value=AnyValue(), doc=doc, example=example, status="not-in-this-version")


TOOL_KEYS: tuple[Key, ...] = (
    _key("tool", registry.TOOL_NAME, "The tool's name in contracts.", "issue_refund", "config.tool_specs", tier="first day"),
    _key("version", Whole(minimum=1), "Goes up whenever the tool means something else; an approval binds it.", "2", "runtime.door", default="1"),
    _key("from", Group(), "Where the tool is: `python`, or `mcp` with `name`.", "{mcp: shop, name: refund_order}", "tools", tier="first day"),
    _key("from.python", registry.PYTHON_FUNCTION, "A typed function of the project.", "tools/shop.py:issue_refund", "tools", tier="first day"),
    _key("from.mcp", registry.NAME, "A server of `leverframe.yaml`.", "shop", "tools", tier="first day"),
    _key("from.name", Text(form="the tool's name at its server", max_chars=200), "The tool's name at that server.", "refund_order", "tools", default="the tool's own name", tier="first day"),
    _key("effect", Words(known=("read", "idempotent", "keyed", "reconcilable", "irreversible")), "What the tool does to the world, and so what a crash in mid-call allows.", "keyed", "runtime.door", default="irreversible", tier="first day"),
    _key("description", registry.SENTENCE, "What the agent is told the tool does.", "Refund part or all of one order.", "runtime.loops", tier="first day"),
    _key("input", SchemaObject(), "The schema of the arguments that an agent may send.", "{type: object, additionalProperties: false}", "runtime.door", tier="first day"),
    _key("output", SchemaObject(), "The schema of the answer; one that breaks it is quarantined.", "{type: object}", "runtime.door"),
    _key("args", MapOf(item=Group(), key=_ARGUMENT), "What each argument is for.", "{order_id: {role: selector}}", "core.provenance"),
    _key("args.*.role", Words(known=("recipient", "selector", "amount", "free_text", "command")), "What the argument does to the call; `amount` is what thresholds read, and `command` needs `broad`.", "amount", "core.policy"),
    _key("args.*.type", registry.NAME, "The semantic type, by which a value is traced to where it entered.", "order_id", "core.provenance", default="the argument's name"),
    _key("args.*.accepts", INTEGRITY, "The lowest integrity that is taken unasked.", "tenant-record", "core.provenance", default="user"),
    _key("args.*.currency", Text(form="a currency code such as USD", pattern=r"[A-Z]{3}", max_chars=3), "The currency of an amount; any but USD is held, never compared.", "USD", "core.policy", default="USD"),
    _key("args.*.unit", Words(known=("major", "minor")), "Whether an amount counts dollars or cents.", "minor", "core.policy", default="major"),
    _key("idempotency", Group(), "How the receiver knows a request it already served; for `effect: keyed`.", "{argument: idempotency_key}", "runtime.door"),
    _key("idempotency.argument", _ARGUMENT, "The argument that carries the key. The door fills it in; an agent cannot.", "idempotency_key", "runtime.door"),
    _key("reconcile", Group(needs=("tool",)), "How to ask the receiver whether a write happened; for `effect: reconcilable`.", "{tool: find_refund, args: {order_id: args.order_id}, match: {amount: args.amount_usd}}", "runtime.door"),
    _key("reconcile.tool", registry.TOOL_NAME, "The `read` tool to ask.", "find_refund", "runtime.door"),
    _key("reconcile.args", _ARGUMENTS, "Its arguments, as paths into the write's.", "{order_id: args.order_id}", "runtime.door"),
    _key("reconcile.match", MapOf(item=registry.ARGUMENT_PATH, key=Text(form="a field of the answer")), "Fields of the answer and what they equal where the write happened.", "{amount: args.amount_usd}", "runtime.door"),
    _key("reconcile.done", registry.PYTHON_FUNCTION, "A pure function `(args, answer) -> bool` in place of `match`.", "facts.py:was_refunded", "runtime.door"),
    _key("once_per", Group(needs=("keys", "within")), "The same business act again, in other words or another run, is held.", "{keys: [order_id], within: 24h}", "core.policy"),
    _key("once_per.keys", ListOf(item=_ARGUMENT, at_least=1), "The arguments that make it the same act.", "[order_id, amount_usd]", "core.policy"),
    _key("once_per.within", Span(), "How far back to look.", "24h", "core.policy"),
    _key("cost_usd", Money(), "The vendor's fee for a call: reserved and settled like model money.", "0.002", "core.budgets", default="0", unit="US dollars"),
    _key("timeout_s", Seconds(maximum=3600), "How long one attempt may take.", "10", "tools", default="10", unit="seconds"),
    _key("retries", Group(), "How often a call is tried again, where its effect class makes that harmless.", "{max: 3, on: [timeout, 429, 5xx]}", "runtime.door"),
    _key("retries.max", Whole(maximum=10), "Further attempts after the first.", "3", "runtime.door", default="0"),
    _key("retries.on", ListOf(item=Words(known=("timeout", "connect", "429", "5xx"))), "After which failures.", "[timeout, 429, 5xx]", "runtime.door", default="[]"),
    _key("retries.percent", Whole(maximum=100), "Retries in a hundred requests of the tool for a tenant, beside the first ten; more are not made.", "20", "runtime.door.tool_gates", default="20"),
    _key("max_parallel", Whole(minimum=1, maximum=10_000), "Requests of the tool at once, for each tenant in each process; more wait their turn for as long as `timeout_s`.", "8", "runtime.door.tool_gates", default="32", unit="calls"),
    _key("breaker", Group(), "When the tool is left alone for a while, for each tenant in each process.", "{failures: 5, rest_s: 30}", "runtime.door.tool_gates"),
    _key("breaker.failures", Whole(minimum=1, maximum=1000), "Failures in a row after which it rests: no answer, 429 or 5xx. A refusal is no failure.", "5", "runtime.door.tool_gates", default="5"),
    _key("breaker.rest_s", Seconds(maximum=3600), "How long, the first time; twice as long each time after, up to five minutes. Then one request tries it.", "30", "runtime.door.tool_gates", default="30", unit="seconds"),
    _key("cache_s", Seconds(maximum=3600), "How long the answer of a `read` may be given again: to the same tenant and subject, for the same arguments. Equal reads at once share one request.", "60", "runtime.door.read_cache", default="nothing is given again", unit="seconds"),
    _key("output_trust", MapOf(item=INTEGRITY, key=Text(form="a JSON pointer into the answer, or default", pattern=r"default|(?:/[^/]*)+", max_chars=500)), "The integrity of the answer's fields.", "{default: tenant-record, /note: third-party}", "core.provenance", default="{default: third-party}"),
    _key("output_confidentiality", Words(known=("public", "tenant", "secret")), "Who may read the answer.", "tenant", "core.provenance", default="tenant"),
    _key("output_types", MapOf(item=registry.NAME, key=_POINTER), "The semantic type of a field of the answer that goes by another name.", "{/orders/*/id: order_id}", "core.provenance"),
    _key("endorse", MapOf(item=registry.NAME, key=_POINTER), "Values of the answer that count as tenant-record where they wholly match a type of `types`; recorded as `label.endorsed`.", "{/channels/*: channel_name}", "core.provenance"),
    _key("environments", ListOf(item=registry.NAME, at_least=1), "Where the tool may be called.", "[sandbox, prod]", "runtime.door", default="everywhere"),
    _key("credential", registry.SECRET, "A secret by reference: a Python tool is given it in its parameter `credential`; for a tool of an MCP server with a `url` it is sent in place of the server's own.", "secret://env/SHOP_API_KEY", "tools"),
    _key("scopes", ListOf(item=Text(form="a scope", pattern=r"[\x21\x23-\x5b\x5d-\x7e]+", max_chars=200), at_least=1), "What the tool needs its credential to be allowed; `leverframe doctor` names a credential that may do more.", "[refunds:write]", "core.scopes"),
    _key("summary", Text(form="a sentence with {argument} in it", max_chars=300), "The approver's sentence, filled in from the frozen arguments.", "Refund {amount_usd} on order {order_id}", "runtime.showing"),
    _key("amount", Group(needs=("usd",)), "The dollars that a threshold reads where no argument holds them.", "{usd: facts.refund_value}", "core.policy"),
    _key("amount.usd", Text(form="a fact, such as facts.refund_value", pattern=r"facts(?:\.[A-Za-z_][A-Za-z0-9_-]*)+", max_chars=200), "The fact of the contract that holds them.", "facts.refund_value", "core.policy"),
    _key("broad", Group(needs=("because",)), "For a tool that takes a URL, a shell command, SQL text or code.", '{because: "evaluates arithmetic only"}', "config.tool_specs"),
    _key("broad.because", registry.SENTENCE, "The reason, shown wherever the tool is.", "evaluates arithmetic only", "config.tool_specs"),
    _later("from.openapi", "An operation of a vendor's OpenAPI document.", "{document: openapi.yaml, operation: createRefund}"),
    _later("from.http", "An HTTP call written by hand.", "{method: POST, url: https://api.example.com/refunds}"),
    _later("from.sandbox", "Code that a model wrote.", "{language: python}"),
    _later("idempotency.header", "The HTTP header that carries the key.", "Idempotency-Key"),
    _later("compensate", "The tool that undoes this one.", "{tool: void_refund}"),
    _later("documents", "What a read brought in, by identifier.", '{id: "/policies/*/id"}'),
    _later("repeat", "What an equal write of the same run means.", "join"),
    _later("preview", "A tool that shows what this one would do.", "{tool: preview_refund}"),
)  # fmt: skip
