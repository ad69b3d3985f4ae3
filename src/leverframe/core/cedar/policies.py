"""Cedar policies, parsed to JSON, as the rule IR.

Knows: `forbid` denies, `forbid … unless { … || context.approved }` holds, `permit` allows, and a `permit` that needs
`context.approved` makes callable what a person must answer first.  Where Cedar skips a policy because a field is
missing, the rule is unknown, and so denies or holds.
Never: leaves a policy out without a note.  What has no form here is refused, naming the policy and the construct.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core.canonical import decode
from leverframe.core.cedar.export import APPROVED
from leverframe.core.cedar.fields import OfDoor
from leverframe.core.cedar.reader import DIFFERS, Reader
from leverframe.core.cedar.scales import MAX_PLACES, Scales, money_scales
from leverframe.core.cedar.settling import ALWAYS, NEVER, Found, Statement, settle, with_own_ids
from leverframe.core.cedar.trees import (
    AllOf,
    AnyOf,
    Guard,
    Leaf,
    Mark,
    Tree,
    all_of,
    any_of,
    condition_of,
    ends,
    inverse,
    negated,
)
from leverframe.core.conditions.syntax import MAX_DEPTH, too_deep
from leverframe.core.nearest import nearest
from leverframe.domain.conditions import Compare, Expr, Path, Text
from leverframe.domain.errors import CedarUnsupported, JsonInvalid
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import ApprovalRequirement, Rule, SourceRef, Then
from leverframe.domain.tools import ToolSpec

_NOT_AN_ID = re.compile(r"\s+")
_ANNOTATIONS = frozenset({"id", "reason", "source", "places", "approval"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPolicy:
    """The rules of a Cedar file.

    `held_tools` may run after a hold only.  `workflow` is empty where the file names none.  `notes` say what was read
    and became no rule, since the door asks it of every call.
    """

    rules: tuple[Rule, ...]
    allow_tools: tuple[ToolName, ...]
    held_tools: tuple[ToolName, ...]
    workflow: str = ""
    notes: tuple[str, ...] = ()


def import_policies(document: Json, *, file: str, tools: Mapping[ToolName, ToolSpec] | None = None) -> ImportedPolicy:
    """Read a set of policies in Cedar's JSON form.

    Args:
        document: what `policies_to_json_str` of cedarpy prints, decoded.
        file: the name of the file, for messages and as the source of each rule.
        tools: the tools that a policy may name, with the units of their amounts; None where they cannot be seen.

    Raises:
        CedarUnsupported: a policy has no form here; the message names it and the construct.
    """
    sets = document if isinstance(document, Mapping) else {}
    if sets.get("templates") or sets.get("templateLinks"):
        raise CedarUnsupported(f"{file} holds templates, and rules have none.", next_move="Write each policy out.")
    every = sets.get("staticPolicies")
    if not isinstance(every, Mapping):
        raise CedarUnsupported(f"{file} is not a set of Cedar policies.", next_move="Give a .cedar file.")
    found = Found()
    statements = [_statement(key, every[key], file, tools) for key in sorted(every, key=_place)]
    for statement in statements:
        try:
            _take(statement, found, file)
        except CedarUnsupported as err:
            raise CedarUnsupported(f"{_named(statement.name, file)}: {err.message}", next_move=err.next_move) from err
    held = settle(found, file)
    workflows = {each.workflow for each in statements}
    if len(workflows) > 1:
        raise CedarUnsupported(
            f"{file} is about several workflows: {', '.join(sorted(each or 'any' for each in workflows))}.",
            next_move="Split it into one file a workflow.",
        )
    return ImportedPolicy(
        rules=with_own_ids(found.rules),
        allow_tools=tuple(found.listed),
        held_tools=held,
        workflow=workflows.pop() if workflows else "",
        notes=tuple(found.notes),
    )


def _named(name: str, file: str) -> str:
    return f"The policy {name!r} of {file} does not import"


def _place(key: str) -> tuple[int, str]:
    digits = key.removeprefix("policy")
    return (int(digits), key) if digits.isdecimal() and len(digits) < 10 else (2**62, key)  # noqa: PLR2004  no overflow


def _statement(key: str, policy: Json, file: str, tools: Mapping[ToolName, ToolSpec] | None) -> Statement:
    body: JsonObject = policy if isinstance(policy, Mapping) else {}
    written = body.get("annotations")
    annotations = {name: str(text or "") for name, text in written.items()} if isinstance(written, Mapping) else {}
    name = annotations.get("id") or key
    try:
        return _scoped(name, body, annotations, tools)
    except CedarUnsupported as err:
        raise CedarUnsupported(f"{_named(name, file)}: {err.message}", next_move=err.next_move) from err
    except RecursionError as err:
        raise CedarUnsupported(
            f"{_named(name, file)}: it is nested too deep.", next_move="Write it as several policies."
        ) from err


def _scoped(
    name: str, body: JsonObject, annotations: Mapping[str, str], tools: Mapping[ToolName, ToolSpec] | None
) -> Statement:
    unknown = sorted(annotations.keys() - _ANNOTATIONS)
    if unknown:
        raise CedarUnsupported(
            f"it has an annotation @{unknown[0]}, which means nothing here.", next_move="Delete it, or use @reason."
        )
    names = _tools(body.get("action"), tools)
    reader = Reader(_scales(annotations.get("places"), names, tools))
    parts = [_of_scope("principal", body.get("principal"))]
    conditions = body.get("conditions")
    for condition in conditions if isinstance(conditions, list) else []:
        said: JsonObject = condition if isinstance(condition, Mapping) else {}
        tree = reader.tree(said.get("body"))
        parts.append(tree if said.get("kind") == "when" else inverse(tree))
    return Statement(
        name=name,
        is_permit=body.get("effect") == "permit",
        tools=names,
        when=all_of(part for part in parts if part != Leaf(ALWAYS)),
        workflow=_workflow(body.get("resource")),
        annotations=annotations,
    )


def _tools(scope: Json, tools: Mapping[ToolName, ToolSpec] | None) -> tuple[ToolName, ...]:
    """The tools of a policy's action; none: every tool."""
    body: JsonObject = scope if isinstance(scope, Mapping) else {}
    if body.get("op") == "All":
        return ()
    listed = body.get("entities")
    entities = listed if isinstance(listed, list) else [body.get("entity")]
    names = []
    for entity in entities:
        uid: JsonObject = entity if isinstance(entity, Mapping) else {}
        if uid.get("type") != "Action":
            raise CedarUnsupported(
                f"its action is a {uid.get('type')!r} and no Action.", next_move='Name tools: action == Action::"tool".'
            )
        name = ToolName(str(uid.get("id")))
        if tools is not None and name not in tools:
            close = nearest(name, tools)
            raise CedarUnsupported(
                f"its action {name!r} is no tool of this project.",
                next_move=f"Did you mean {close!r}?" if close else f"The tools are {', '.join(sorted(tools))}.",
            )
        names.append(name)
    if not names:
        raise CedarUnsupported("it is about no action at all.", next_move="Delete it, or name a tool.")
    return tuple(dict.fromkeys(names))


def _of_scope(what: str, scope: Json) -> Tree:
    """`principal == Principal::"…"` as a condition on who opened the run."""
    body: JsonObject = scope if isinstance(scope, Mapping) else {}
    entity = body.get("entity")
    if body.get("op") == "All":
        return Leaf(ALWAYS)
    if body.get("op") != "==" or not isinstance(entity, Mapping) or entity.get("type") != "Principal":
        raise CedarUnsupported(
            f"its {what} is not one `Principal`, and rules know no groups or types of principals.",
            next_move='Write `principal == Principal::"agent:name"`, or `principal` for any.',
        )
    return Leaf(Compare(op="==", left=Path(root="run", keys=("initiator",)), right=Text(value=str(entity.get("id")))))


def _workflow(scope: Json) -> str:
    body: JsonObject = scope if isinstance(scope, Mapping) else {}
    entity = body.get("entity")
    if body.get("op") == "All":
        return ""
    if body.get("op") != "==" or not isinstance(entity, Mapping) or entity.get("type") != "Workflow":
        raise CedarUnsupported(
            "its resource is not one `Workflow`.", next_move='Write `resource == Workflow::"name"`, or `resource`.'
        )
    return str(entity.get("id"))


def _scales(places: str | None, names: tuple[ToolName, ...], tools: Mapping[ToolName, ToolSpec] | None) -> Scales:
    """The minor units of the tools' own amounts, and what @places says of other numbers."""
    found: dict[str, int] = {}
    for spec in () if tools is None else (tools[name] for name in names or tools):
        for text, scale in money_scales(spec).items():
            if found.setdefault(text, scale) != scale:
                found[text] = DIFFERS
    for text, said in ({} if places is None else _json("places", places)).items():
        if type(said) is not int or not 0 <= said <= MAX_PLACES:
            raise CedarUnsupported(
                f"its @places says {said!r} of {text!r}, which is no number of decimal places.",
                next_move=f"Write a whole number from 0 to {MAX_PLACES}.",
            )
        if found.setdefault(text, said) != said:
            raise CedarUnsupported(
                f"its @places says {said} of {text!r}, and the tool counts it in another unit.",
                next_move="Delete it from @places, and write the amounts in the currency's minor unit.",
            )
    return found


def _json(name: str, text: str) -> JsonObject:
    try:
        value = decode(text.encode())
    except JsonInvalid as err:
        raise CedarUnsupported(f"its @{name} is no JSON: {err.message}", next_move=err.next_move) from err
    if not isinstance(value, dict):
        raise CedarUnsupported(f"its @{name} is no JSON object.", next_move="Export writes it; keep it as it is.")
    return value


def _take(statement: Statement, found: Found, file: str) -> None:
    if any(isinstance(each, Mark) and isinstance(each.about, OfDoor) for each in ends(statement.when)):
        _take_built_in(statement, found)
    elif statement.is_permit:
        _take_permit(statement, found, file)
    else:
        _take_forbid(statement, found, file)


def _take_built_in(statement: Statement, found: Found) -> None:
    """What the door asks of every call anyway; nothing else may stand beside it."""
    for each in ends(statement.when):
        is_door = isinstance(each, Mark) or (isinstance(each, Guard) and each.keys[0] in {"door", APPROVED[0]})
        if not is_door:
            raise CedarUnsupported("it asks context.door and something else at once.", next_move="Write two policies.")
    if statement.is_permit:
        found.door_grants |= dict.fromkeys(statement.tools)
    found.notes.append(f"{statement.name}: the door asks this of every call, so it is no rule")


def _is_approved(tree: Tree) -> bool:
    """Whether a part says `context has approved && context.approved` and no more."""
    return all(isinstance(each, Guard | Mark) and each.keys == APPROVED and each.is_positive for each in ends(tree))


def _take_forbid(statement: Statement, found: Found, file: str) -> None:
    unless = inverse(statement.when)
    parts = unless.parts if isinstance(unless, AnyOf) else (unless,)
    rest = tuple(part for part in parts if not _is_approved(part))
    is_hold = len(rest) < len(parts)
    when = negated(condition_of(any_of(rest))) if rest else ALWAYS
    if when == NEVER:
        found.notes.append(f"{statement.name}: it never matches, so it is no rule")
        return
    asked = statement.annotations.get("approval")
    found.rules.append(
        _rule(
            statement,
            Then.HOLD if is_hold else Then.DENY,
            when,
            file,
            None if asked is None else _approval(asked, file),
        )
    )


def _take_permit(statement: Statement, found: Found, file: str) -> None:
    parts = statement.when.parts if isinstance(statement.when, AllOf) else (statement.when,)
    rest = tuple(part for part in parts if not _is_approved(part))
    if not statement.tools:
        raise CedarUnsupported(
            "it permits every action, and a contract lists what may be called.", next_move="Name the actions."
        )
    if len(rest) < len(parts):
        # Said as the hold that it answers: when that is not certainly false.
        answered = negated(condition_of(inverse(all_of(rest)))) if rest else ALWAYS
        if answered != NEVER:
            found.grants.append((statement, answered))
        return
    when = condition_of(statement.when) if parts else ALWAYS
    if when == NEVER:
        found.notes.append(f"{statement.name}: it never matches, so it is no rule")
        return
    for tool in statement.tools:
        found.listed.setdefault(tool, []).append(when)
    if when != ALWAYS:
        found.rules.append(_rule(statement, Then.ALLOW, when, file, None))


def _rule(statement: Statement, then: Then, when: Expr, file: str, approval: ApprovalRequirement | None) -> Rule:
    deep = too_deep(when)
    if deep is not None:
        raise CedarUnsupported(
            f"its condition is nested more than {MAX_DEPTH} levels deep.", next_move="Write it as several policies."
        )
    return Rule(
        id=RuleId(_NOT_AN_ID.sub("-", statement.name)),
        then=then,
        tools=frozenset(statement.tools),
        source=SourceRef(file=file),
        when=None if when == ALWAYS else when,
        approval=approval,
        reason=statement.annotations.get("reason", ""),
    )


def _approval(text: str, file: str) -> ApprovalRequirement:
    said = _json("approval", text)
    groups, distinct = said.get("from", []), said.get("distinct_from", [])
    whole = {
        key: value
        for key in ("quorum", "decide_within_s", "execute_within_s")
        if type(value := said.get(key)) is int and value > 0
    }
    if not isinstance(groups, list) or not isinstance(distinct, list) or len(whole) < 3:  # noqa: PLR2004  the three
        raise CedarUnsupported("its @approval lacks a key.", next_move="Export writes it; keep it as it is.")
    return ApprovalRequirement(
        from_groups=tuple(map(str, groups)),
        distinct_from=frozenset({"initiator", *map(str, distinct)}),
        quorum=whole["quorum"],
        decide_within_s=whole["decide_within_s"],
        execute_within_s=whole["execute_within_s"],
        source=SourceRef(file=file),
    )
