"""The page of what `leverframe check` finds, read from the calls that report it.

Nothing has to be kept in step by hand: a finding's code, severity and sentence stand where it is reported.
"""

import ast
from pathlib import Path
from typing import NamedTuple

from scripts.reference import markdown

SOURCE = Path(__file__).parent.parent.parent / "src" / "leverframe"
SEVERITIES = ("error", "warning", "note")
CODE_SHAPE = set("abcdefghijklmnopqrstuvwxyz-")
INTRO = (
    "`leverframe check` prints one line a finding, `file:line:column: severity code: sentence`, and exits 1 when one "
    "of them is an error. A warning loads but is probably not what was meant; a note is worth knowing. Names in braces "
    "stand for what was found in your file."
)


class Finding(NamedTuple):
    """One code, how grave it is, and its sentence with names in braces."""

    code: str
    severity: str
    sentence: str


def findings() -> list[Finding]:
    """Every finding that the product can report, by code; the first sentence where a code has several."""
    found: dict[tuple[str, str], Finding] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            finding = reported(node)
            if finding:
                found.setdefault((finding.code, finding.severity), finding)
    return sorted(found.values())


def reported(call: ast.AST) -> Finding | None:
    """`findings.error(at, "code", "sentence")` and `Problem(code="...", severity="...", message="...")`."""
    if not isinstance(call, ast.Call):
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(call.func, ast.Attribute) and call.func.attr in SEVERITIES and len(call.args) > 1:
        _, code_node, *rest = call.args
        code, severity = _text(code_node), call.func.attr
        sentence = _text(rest[0] if rest else named.get("message"))
    elif ast.unparse(call.func).split(".")[-1] == "Problem" and "code" in named:
        code, severity = _text(named["code"]), _text(named.get("severity")) or "error"
        sentence = _text(named.get("message"))
    else:
        return None
    is_code = bool(code) and set(code) <= CODE_SHAPE
    return Finding(code=code, severity=severity, sentence=sentence) if is_code else None


def _text(node: ast.expr | None) -> str:
    """The words of a literal; in an f-string each expression becomes its own last name in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return f"{{{_last_name(node.value)}}}"
    return ""


def _last_name(expression: ast.expr) -> str:
    """`node.mark.line` -> `line`, `len(content)` -> `content`."""
    called = {id(inner.func) for inner in ast.walk(expression) if isinstance(inner, ast.Call)}
    for inner in ast.walk(expression):
        if id(inner) not in called:
            if isinstance(inner, ast.Attribute):
                return inner.attr
            if isinstance(inner, ast.Name):
                return inner.id
    return "..."


def render() -> str:
    """The table of findings."""
    rows = [
        (markdown.code(one.code), one.severity, one.sentence or "See the line that it prints.") for one in findings()
    ]
    return markdown.page("Findings of check", INTRO, markdown.table(("Code", "Severity", "Says"), rows))
