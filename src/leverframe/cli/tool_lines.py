"""How tools, their pins and their changes are printed.  Foreign text is shown as it is, escaped, never obeyed."""

from collections.abc import Iterator

from leverframe.cli.screen import Part, Screen, Word
from leverframe.core.definition_diff import DefinitionDiff, definition_diff
from leverframe.core.reviewing import Standing
from leverframe.core.schema_changes import Change, SchemaChange
from leverframe.domain.json import Json
from leverframe.domain.pins import QUARANTINED, Offering, ServerPin
from leverframe.domain.time import rfc3339_s
from leverframe.domain.tools import PythonOrigin, ToolSpec

_MAX_TEXT = 2_000  # of one changed text
_SAYS = {
    Change.EQUAL: "takes exactly what was reviewed",
    Change.WIDENED: "takes more than before: an argument can carry data out",
    Change.BREAKING: "refuses what was right before",
    Change.NARROWED: "gives less than before, and nothing else",
    Change.UNKNOWN: "cannot be compared; read it yourself",
}
_ANSWERS = {
    Change.EQUAL: "gives exactly what was reviewed",
    Change.WIDENED: "gives fields that nobody has seen",
    Change.BREAKING: "may give what no reader of the old one expects",
}


def word_of(one: Standing) -> str:
    """`pinned`, `quarantined` or `drifted`."""
    if one.closed is None:
        return "pinned"
    return "quarantined" if one.closed.slug == QUARANTINED else "drifted"


def tell_table(screen: Screen, standings: tuple[Standing, ...], specs: dict[str, ToolSpec]) -> None:
    """Every tool of servers with its state, then the functions of the project."""
    rows: list[tuple[Part, ...]] = []
    for one in standings:
        names = ", ".join(one.names) or "-"
        effect = specs[one.names[0]].effect.value if one.names else "irreversible"
        since = f"by {one.pin.reviewed.by} {rfc3339_s(one.pin.reviewed.at)}" if one.pin and one.closed is None else ""
        flags = ", ".join(dict.fromkeys(found.kind.value for found in one.suspicions))
        rows.append((names, one.key, effect, Word(word_of(one)), " ".join(filter(None, (since, flags)))))
    for name, spec in sorted(specs.items()):
        if isinstance(spec.origin, PythonOrigin):
            rows.append(
                (name, f"{spec.origin.file}:{spec.origin.function}", spec.effect.value, "the project's own", "")
            )
    screen.table(("TOOL", "FROM", "EFFECT", "REVIEW", ""), rows)


def tell_suspicions(screen: Screen, one: Standing) -> None:
    """What looks wrong, each on a line."""
    for found in one.suspicions:
        screen.line("  ", Word("warning"), f" {found.kind.value} {found.pointer}: {found.text}")


def tell_diff(screen: Screen, one: Standing, was: ServerPin | None, now: Offering | None, reached: Json) -> None:
    """Why a tool is closed, all that is new in it, and what its schemas mean now."""
    screen.line(f"{one.key}  ", Word(word_of(one)), f"  {one.closed.message if one.closed is not None else ''}")
    if was is not None and now is not None:
        screen.lines(_identity_lines(was, now, reached))
    if one.live is not None:
        diff = definition_diff(one.pin.definition if one.pin is not None else {}, one.live)
        screen.lines(_edit_lines(diff, is_new=one.pin is None))
        if one.pin is not None:
            screen.lines(_schema_lines(diff))
    tell_suspicions(screen, one)


def document(one: Standing, specs: dict[str, ToolSpec]) -> dict[str, Json]:
    """One tool as JSON."""
    found: dict[str, Json] = {
        "from": one.key,
        "tools": list[Json](one.names),
        "effect": specs[one.names[0]].effect.value if one.names else "irreversible",
        "review": word_of(one),
        "why": one.closed.message if one.closed is not None else "",
        "sha256": one.pin.sha256 if one.pin is not None else "",
        "seen_sha256": one.closed.seen if one.closed is not None else "",
        "suspicions": [
            {"kind": each.kind.value, "pointer": each.pointer, "text": each.text} for each in one.suspicions
        ],
    }
    if one.pin is not None:
        reviewed = one.pin.reviewed
        found["reviewed"] = {"by": reviewed.by, "at": rfc3339_s(reviewed.at), "because": reviewed.because}
    if one.live is not None and one.closed is not None:
        diff = definition_diff(one.pin.definition if one.pin is not None else {}, one.live)
        found["edits"] = [{"pointer": edit.pointer, "old": edit.old, "new": edit.new} for edit in diff.edits]
        if one.pin is not None:
            found["arguments"], found["answers"] = _change(diff.input), _change(diff.output)
    return found


def _identity_lines(was: ServerPin, now: Offering, reached: Json) -> Iterator[str]:
    if was.reached_by != reached:
        yield f"  upstream - {was.reached_by}"
        yield f"  upstream + {reached}"
    info = {key: now.info[key] for key in ("name", "version") if key in now.info}
    if was.info != info:
        yield f"  serverInfo - {was.info}"
        yield f"  serverInfo + {info}"


def _edit_lines(diff: DefinitionDiff, *, is_new: bool) -> Iterator[str]:
    for edit in diff.edits:
        # Of a tool that nobody has seen: what it says of itself and what it takes; --json has all of it.
        if is_new and not edit.pointer.startswith(("/description", "/title", "/annotations", "/inputSchema/")):
            continue
        for sign, text in (("-", edit.old), ("+", edit.new)):
            if text is not None:
                for line in _cut(text).splitlines() or [""]:
                    yield f"  {edit.pointer} {sign} {line}"


def _schema_lines(diff: DefinitionDiff) -> Iterator[str]:
    for name, found, says in (("arguments", diff.input, _SAYS), ("answers", diff.output, _SAYS | _ANSWERS)):
        places = f"; new: {', '.join(found.added)}" if found.added else ""
        places += f"; gone: {', '.join(found.removed)}" if found.removed else ""
        why = f" ({found.because})" if found.because else ""
        yield f"  {name}: {found.change.value}: {says[found.change]}{why}{places}"


def _change(found: SchemaChange) -> Json:
    return {
        "change": found.change.value,
        "added": list[Json](found.added),
        "removed": list[Json](found.removed),
        "because": found.because,
    }


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text):,} characters)"
