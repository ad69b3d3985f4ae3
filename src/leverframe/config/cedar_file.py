"""A Cedar file read within bounds, and what it says as a contract that a person reviews.

Knows: `cedarpy`, the extra `cedar`, which parses Cedar text; and how a contract spells the rules of `core.cedar`.
Never: writes a file; an import is printed, read by a person and kept in git like any other change.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from leverframe.config.yaml_source import MAX_FILE_BYTES
from leverframe.core.cedar import ImportedPolicy, import_policies
from leverframe.core.conditions import render
from leverframe.core.conditions.printer import quoted
from leverframe.core.policy.amounts import threshold_of
from leverframe.domain.conditions import Compare, Number
from leverframe.domain.errors import CedarUnsupported, UnavailableError
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json
from leverframe.domain.policy import ApprovalRequirement, Rule, Then
from leverframe.domain.tools import ToolSpec

# The parser recurses natively and takes the process with it where the stack ends; these bounds stay far inside a
# stack of this size (measured with cedarpy 4.12: 5,000 brackets or 100,000 operators fit half of it).
_STACK_BYTES: Final = 256 * 1024 * 1024
_MAX_BRACKETS: Final = 500
_MAX_OPERATORS: Final = 50_000
_OPERATORS = re.compile(r"&&|\|\||[+*.!<>=-]|\b(?:if|has|like|in|is)\b")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME_CHARS: Final = 56  # of the 64 of a rule's id, with room for a number
_OVER = re.compile(r".*/over-(\d+(?:\.\d+)?)")


def read_cedar(path: Path, *, tools: Mapping[ToolName, ToolSpec] | None = None) -> ImportedPolicy:
    """Read a file of Cedar policies.

    Args:
        path: the file, at most 1 MiB of UTF-8.
        tools: the tools that it may name; None where they cannot be seen.

    Raises:
        CedarUnsupported: it is no Cedar, or asks what a contract cannot say.
        UnavailableError: cedarpy is not installed.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise CedarUnsupported(f"{path.name} is larger than {MAX_FILE_BYTES:,} bytes.", next_move="Split it.")
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as err:
        raise CedarUnsupported(
            f"{path.name} is not UTF-8 at byte {err.start}.", next_move="Save the file as UTF-8."
        ) from err
    return import_policies(parse_cedar(text, file=path.name), file=path.name, tools=tools)


def parse_cedar(text: str, *, file: str) -> Json:
    """Parse Cedar text to Cedar's JSON form.

    Raises:
        CedarUnsupported: it is no Cedar, or nested deeper than is read.
        UnavailableError: cedarpy is not installed.
    """
    _refuse_deep(text, file)
    try:
        import cedarpy  # an extra, and only an import needs it
    except ImportError as err:
        raise UnavailableError(
            "Reading Cedar needs the extra `cedar`, which is not installed.",
            next_move="Install it: pip install 'leverframe[cedar]'",
        ) from err
    found: list[str] = []
    problems: list[ValueError] = []

    def parse() -> None:
        try:
            found.append(cedarpy.policies_to_json_str(text))
        except ValueError as err:
            problems.append(err)

    _on_a_large_stack(parse)
    if problems:
        raise CedarUnsupported(f"{file} is not Cedar: {problems[0]}.", next_move="Mend it there.") from problems[0]
    try:
        document: Json = json.loads(found[0])
    except RecursionError as err:
        raise CedarUnsupported(
            f"{file} holds a condition of too many parts.", next_move="Write it as several policies."
        ) from err
    return document


def _refuse_deep(text: str, file: str) -> None:
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    if deepest > _MAX_BRACKETS or sum(1 for _ in _OPERATORS.finditer(text)) > _MAX_OPERATORS:
        raise CedarUnsupported(
            f"{file} is nested more than {_MAX_BRACKETS} brackets deep, or has more than {_MAX_OPERATORS} operators.",
            next_move="Split it into several files.",
        )


_STACK_SIZE = threading.Lock()


def _on_a_large_stack(parse: Callable[[], None]) -> None:
    """Run the parser in a thread of its own, whose stack the bounds above were measured for."""
    with _STACK_SIZE:
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread = threading.Thread(target=parse, name="cedar-parser")
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()


Row = tuple[Decimal | None, ApprovalRequirement | None]


def contract_text(
    imported: ImportedPolicy, *, workflow: str = "", tools: Mapping[ToolName, ToolSpec] | None = None
) -> str:
    """What was imported as a contract in YAML, for a person to read and keep.

    Args:
        imported: the rules of a Cedar file.
        workflow: the contract's name, where the file names none.
        tools: the specs of the tools, by which a threshold is known for one.

    Raises:
        CedarUnsupported: a rule has no place in a contract; the message names it.
    """
    rows: dict[ToolName, Row] = {}
    kept: list[Rule] = []
    for rule in imported.rules:
        found = _rows(rule, imported, tools or {})
        if not found:
            kept.append(rule)
        for tool, row in found.items():
            if tool in rows:
                raise CedarUnsupported(
                    f"{rule.id!r} is a second approval row of {tool!r}, and a contract has one row a tool.",
                    next_move="Join the two policies, or delete the @approval of one.",
                )
            rows[tool] = row
    for tool in imported.held_tools:
        if tool not in rows or rows[tool][0] is not None:
            raise CedarUnsupported(
                f"{tool!r} never runs by itself and is held under conditions only, and a contract holds such a tool "
                f"on every call.",
                next_move=f"Hold every call of it: forbid (principal, action == Action::{quoted(tool)}, resource) "
                f"unless {{ context.approved }}.",
            )
    return "\n".join(_contract_lines(imported, workflow, kept, rows)) + "\n"


def _contract_lines(
    imported: ImportedPolicy, workflow: str, kept: list[Rule], rows: Mapping[ToolName, Row]
) -> Iterator[str]:
    yield f"workflow: {quoted(imported.workflow or workflow)}"
    yield "policy:"
    yield f"  allow_tools: {_list(imported.allow_tools)}"
    if imported.held_tools:
        yield f"  deny_tools: {_list(imported.held_tools)} # held on every call, by their rows below"
    if kept:
        yield "  rules:"
        names: set[str] = set()
        for rule in kept:
            yield from _rule_lines(rule, names)
    if rows:
        yield "approval:"
        yield "  required_for:"
        for tool, (threshold, asked) in rows.items():
            yield from _row_lines(tool, threshold, asked)


def _rows(rule: Rule, imported: ImportedPolicy, tools: Mapping[ToolName, ToolSpec]) -> dict[ToolName, Row]:
    """The approval rows that a rule stands for, one for each of its tools; none where it is a plain rule."""
    if rule.then is not Then.HOLD:
        return {}
    threshold = _threshold(rule, tools)
    if rule.when is None and rule.tools and (rule.approval is not None or rule.tools <= {*imported.held_tools}):
        return dict.fromkeys(sorted(rule.tools), (None, rule.approval))
    if threshold is not None and rule.approval is not None:
        return dict.fromkeys(rule.tools, (threshold, rule.approval))
    if rule.approval is not None:
        raise CedarUnsupported(
            f"The rule {rule.id!r} says who must approve under a condition, and a contract says that by tool.",
            next_move="Delete its @approval, and write a row of approval.required_for.",
        )
    return {}


def _threshold(rule: Rule, tools: Mapping[ToolName, ToolSpec]) -> Decimal | None:
    """The dollars of a rule that an export named for its threshold, as long as its condition still says just that."""
    named = _OVER.fullmatch(rule.id)
    spec = tools.get(next(iter(rule.tools))) if len(rule.tools) == 1 else None
    if named is None or spec is None or not isinstance(rule.when, Compare) or rule.when.op != ">=":
        return None
    limit = Decimal(named[1])
    places = threshold_of(spec, limit).places
    is_same = (
        len(places) == 1
        and places[0].currency == "USD"
        and render(rule.when.left) == places[0].path
        and isinstance(rule.when.right, Number)
        and rule.when.right.value == places[0].limit
    )
    return limit if is_same else None


def _rule_lines(rule: Rule, names: set[str]) -> Iterator[str]:
    name = base = _NOT_A_NAME.sub("-", rule.id).lstrip("-_0123456789")[:_MAX_NAME_CHARS] or "rule"
    number = 1
    while name in names:
        number += 1
        name = f"{base}-{number}"
    names.add(name)
    yield f"    - id: {quoted(name)}"
    yield f"      then: {rule.then.value}"
    if rule.tools:
        yield f"      tools: {_list(sorted(rule.tools))}"
    if rule.when is not None:
        yield f"      when: {quoted(render(rule.when))}"
    if rule.reason:
        yield f"      reason: {quoted(rule.reason)}"


def _row_lines(tool: ToolName, threshold: Decimal | None, asked: ApprovalRequirement | None) -> Iterator[str]:
    yield f"    - tool: {quoted(tool)}"
    if threshold is not None:
        yield f"      threshold_usd: {threshold:f}"
    if asked is None:
        return
    if any("+" in group for group in asked.from_groups):
        raise CedarUnsupported(
            f"The approval of {tool!r} asks for people who are in several groups at once.",
            next_move="Name one group in `from`.",
        )
    if asked.from_groups:
        yield f"      from: {_list([f'group:{group}' for group in asked.from_groups])}"
    yield f"      quorum: {asked.quorum}"
    yield f"      distinct_from: {_list(sorted(asked.distinct_from))}"
    yield f"      decide_within: {asked.decide_within_s}s"
    yield f"      execute_within: {asked.execute_within_s}s"


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, words))}]"
