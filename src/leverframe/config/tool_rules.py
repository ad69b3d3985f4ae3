"""What a tool spec must get right beyond its keys: what belongs together, and arguments that exist.

Never: changes a spec; every finding has the place of the key it is about.
"""

import re
from collections.abc import Iterator, Mapping

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.sections import Section
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import ArgRole, EffectClass, ToolSpec

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BROAD_NAMES = frozenset({"url", "uri", "sql", "command", "cmd", "shell", "script"})


def check_tool(spec: ToolSpec, section: Section, at: Mark, findings: Findings) -> None:
    """Check one tool on its own; what needs other tools or contracts is checked with them."""
    if spec.input_schema.get("type", "object") != "object":
        findings.error(
            section.place("input"),
            "bad-schema",
            f"The input of {spec.name!r} is not an object, and arguments have names.",
            "Write input: {type: object, properties: {...}}",
        )
    _check_effect(spec, section, at, findings)
    _check_arguments(spec, section, findings)
    _check_amounts(spec, section, findings)
    _check_roles(spec, at, findings)
    _check_broad(spec, section, at, findings)


def argument_names(spec: ToolSpec) -> tuple[str, ...] | None:
    """The arguments a tool takes, or None where its schema leaves them open."""
    properties = spec.input_schema.get("properties")
    if isinstance(properties, Mapping):
        return tuple(properties)
    return () if spec.input_schema.get("additionalProperties") is False else None


def _check_effect(spec: ToolSpec, section: Section, at: Mark, findings: Findings) -> None:
    if spec.effect is EffectClass.KEYED and not spec.idempotency_argument:
        findings.error(
            at,
            "keyed-without-key",
            f"{spec.name!r} is `effect: keyed` and names no argument that carries the key.",
            "For example: idempotency: {argument: idempotency_key}; without one the tool is irreversible.",
        )
    if spec.effect is EffectClass.RECONCILABLE and spec.reconcile is None:
        findings.error(
            at,
            "reconcilable-without-reconcile",
            f"{spec.name!r} is `effect: reconcilable` and does not say how to ask whether a write happened.",
            "For example: reconcile: {tool: find_refund, args: {order_id: args.order_id}, done: facts.py:was_refunded}",
        )
    if spec.reconcile is not None:
        # A keyed tool is asked by `tools contract-test --twice`, and after a lost answer.
        if spec.effect is not EffectClass.RECONCILABLE and not spec.idempotency_argument:
            findings.error(
                section.place("reconcile"),
                "key-without-effect",
                f"Nothing asks `reconcile` of a tool with `effect: {spec.effect.value}`.",
                "Write effect: reconcilable, or delete it.",
            )
        if bool(spec.reconcile.match) == (spec.reconcile.done is not None):
            findings.error(
                section.place("reconcile"),
                "reconcile-unclear",
                f"{spec.name!r} must say what tells that the write happened: either `match` or `done`.",
                "For example: match: {amount: args.amount_usd}",
            )
    if spec.cache_s and spec.effect.is_write:
        findings.error(
            section.place("cache_s"),
            "key-without-effect",
            f"{spec.name!r} is `effect: {spec.effect.value}`, and only the answer of a read is given again.",
            "Delete it, or write effect: read if the tool changes nothing.",
        )
    if spec.retries.max and spec.effect is EffectClass.IRREVERSIBLE:
        findings.warning(
            section.place("retries"),
            "retries-have-no-effect",
            f"{spec.name!r} is irreversible, so a call that may have left is never sent again.",
            "Only attempts that did not leave the process are repeated.",
        )


def _check_arguments(spec: ToolSpec, section: Section, findings: Findings) -> None:
    known = argument_names(spec)
    if known is None:
        return
    for name, at in _named_arguments(spec, section):
        if name not in known:
            findings.error(
                at, "unknown-argument", f"{spec.name!r} has no argument {name!r}.", did_you_mean(name, known)
            )
    for name, each in section.section("reconcile").named_scalars("args").items():
        _check_path(spec, name, each.text, each.at, findings)
    for name, each in section.section("reconcile").named_scalars("match").items():
        _check_path(spec, name, each.text, each.at, findings)


def _check_path(spec: ToolSpec, name: str, path: str, at: Mark, findings: Findings) -> None:
    argument = path.split(".")[1]
    known = argument_names(spec) or ()
    if argument not in known:
        findings.error(
            at,
            "unknown-argument",
            f"{name!r} is taken from {path!r}, and {spec.name!r} has no argument {argument!r}.",
            did_you_mean(argument, known),
        )


def _named_arguments(spec: ToolSpec, section: Section) -> Iterator[tuple[str, Mark]]:
    """Every argument that the spec names, with its place; the idempotency argument is not one that an agent has."""
    args = section.named("args")
    yield from ((name, place) for name, place in args.places.items() if name != spec.idempotency_argument)
    yield from ((key.text, key.at) for key in section.section("once_per").scalars("keys"))
    summary = section.scalar("summary")
    if summary is not None:
        yield from ((match.group(1), summary.at) for match in _PLACEHOLDER.finditer(summary.text))


def _check_amounts(spec: ToolSpec, section: Section, findings: Findings) -> None:
    for name, arg in spec.args.items():
        place = section.named("args").places.get(name, section.at)
        if arg.role is not ArgRole.AMOUNT:
            if arg.currency or "unit" in section.named_sections("args")[name]:
                findings.error(
                    place,
                    "key-without-effect",
                    f"The argument {name!r} has a currency or unit and is no amount.",
                    "Write role: amount, or delete them.",
                )
            continue
        words = _types(spec.input_schema, name)
        if words and not words & {"number", "integer"}:
            findings.error(
                place,
                "amount-not-number",
                f"The argument {name!r} has the role amount and is of type {', '.join(sorted(words))}.",
                "Amounts are numbers; a threshold cannot be compared with a text.",
            )


def _types(schema: JsonObject, name: str) -> set[str]:
    properties = schema.get("properties")
    found: Json = properties.get(name) if isinstance(properties, Mapping) else None
    words = found.get("type") if isinstance(found, Mapping) else None
    if isinstance(words, str):
        return {words}
    return {str(word) for word in words} if isinstance(words, list | tuple) else set()


def _check_roles(spec: ToolSpec, at: Mark, findings: Findings) -> None:
    """A write of which no argument says what it is for: the default rules on labels ask about roles alone."""
    if not spec.effect.is_write or any(arg.role is not None for arg in spec.args.values()):
        return
    texts = [
        name
        for name in argument_names(spec) or ()
        if name != spec.idempotency_argument and _is_free(spec.input_schema, name)
    ]
    if texts:
        findings.note(
            at,
            "no-roles",
            f"{spec.name!r} writes, and no default rule asks where its {' and '.join(map(repr, texts))} came from.",
            f"Say what it is for: args: {{{texts[0]}: {{role: recipient}}}}, or selector, amount, free_text, command.",
        )


def _is_free(schema: JsonObject, name: str) -> bool:
    properties = schema.get("properties")
    rules = properties.get(name) if isinstance(properties, Mapping) else None
    is_listed = isinstance(rules, Mapping) and bool({"enum", "const"} & rules.keys())
    return "string" in _types(schema, name) and not is_listed


def _check_broad(spec: ToolSpec, section: Section, at: Mark, findings: Findings) -> None:
    if spec.broad_because:
        return
    commands = [name for name, arg in spec.args.items() if arg.role is ArgRole.COMMAND]
    if commands:
        findings.error(
            section.named("args").places.get(commands[0], at),
            "broad-without-reason",
            f"The argument {commands[0]!r} is a command, so {spec.name!r} can do what nobody listed.",
            'Say why it may exist: broad: {because: "..."}',
        )
    for name in argument_names(spec) or ():
        if name.lower() in _BROAD_NAMES and name not in commands:
            findings.warning(
                at,
                "looks-broad",
                f"{spec.name!r} takes {name!r}: a URL, a command, SQL or code can do what nobody listed.",
                'Say why it may exist: broad: {because: "..."}',
            )
