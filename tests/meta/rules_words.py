"""Rules on what stands in the files. Each takes a source and yields what breaks it, with the next move."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache

from tests.meta.tree import Source

MAY_CATCH_ALL = re.compile(
    r"^src/leverframe/(runtime/(door|worker)|store/sqlite/(transacting|flushing)|asgi)(\w*\.py$|/)"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BANNER = re.compile(r"^#\s*[-=*#~_]{3,}")
BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[[a-z-]+(,\s*[a-z-]+)*\])")
CODED_IGNORE = re.compile(r"#\s*type:\s*ignore\[([^]]+)\]")
BARE_NOQA = re.compile(r"#\s*noqa(?!: [A-Z]+[0-9]+)", re.IGNORECASE)
CODED_NOQA = re.compile(r"#\s*noqa: ([A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*)")
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u26ff\u2705\u2728\u274c\u2753-\u2757\u2764]")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|farm|root|home|Users)/\w")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|(?:deb|security)\.debian\.org|--(?:extra-)?index-url", re.IGNORECASE
)
OTHER_WORDS = {
    "confirmation": "approval",
    "intent": "intended",
    "intents": "intended",
    "sanitize": "endorse",
    "taint": "label",
    "tainted": "label",
}
MONEY_NAME = re.compile(r"(^|_)(usd|microusd)($|_)")


@cache
def comments(source: Source) -> tuple[tuple[int, str], ...]:
    """Every comment with its line; text inside strings is no comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return tuple((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)


def catches_all(source: Source) -> Iterator[str]:
    """`except Exception` lives in the door, the worker loop and the ASGI edge; elsewhere it ends in a bare `raise`."""
    if not source.path.startswith("src/") or MAY_CATCH_ALL.match(source.path):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            is_passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if not is_passed_on and any(
                kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught
            ):
                yield f"{source.path}:{node.lineno}: catches everything; name the errors that you can answer"


def unfinished(source: Source) -> Iterator[str]:
    """What is not done is an issue, not a comment."""
    for line, comment in comments(source):
        if UNFINISHED.search(comment):
            yield f"{source.path}:{line}: unfinished work belongs in an issue: {comment}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc):
            yield f"{source.path}:{node.lineno}: a stub; finish it or leave it out"


def decorated_comment(source: Source) -> Iterator[str]:
    """No banner lines, no emoji."""
    for line, comment in comments(source):
        if BANNER.match(comment):
            yield f"{source.path}:{line}: a banner; split the file instead"
    for number, text in enumerate(source.lines, start=1):
        if EMOJI.search(text):
            yield f"{source.path}:{number}: an emoji"


def unreasoned_ignore(source: Source) -> Iterator[str]:
    """Each `type: ignore[code]` and `noqa: CODE` has a reason: in the comment above, or after the code.

    A reason that speaks of what is "below" holds for that code to the end of the file.
    """
    explained_below: set[str] = set()
    for line, comment in comments(source):
        if BARE_IGNORE.search(comment) or BARE_NOQA.search(comment):
            yield f"{source.path}:{line}: name the code that is ignored: {comment}"
            continue
        found = CODED_IGNORE.search(comment) or CODED_NOQA.search(comment)
        if found is None:
            continue
        code, reason = found.group(1), comment[found.end() :]
        if "below" in reason:
            explained_below.add(code)
        is_explained = len(reason.split()) > 1 or source.line_above(line).startswith("#") or code in explained_below
        if not is_explained:
            yield f"{source.path}:{line}: say in a comment above why this is ignored"


def unreasoned_any(source: Source) -> Iterator[str]:
    """Each `Any` and `cast` has its reason in a comment above, or on its line as `# Any: why`."""
    for statement in ast.walk(source.tree):
        if isinstance(statement, ast.stmt) and not isinstance(statement, ast.ClassDef | ast.Import | ast.ImportFrom):
            for node in _own_expressions(statement):
                is_any = isinstance(node, ast.Name) and node.id == "Any"
                is_cast = isinstance(node, ast.Call) and ast.unparse(node.func) in {"cast", "typing.cast"}
                if (is_any or is_cast) and not _has_reason(source, statement, node.lineno):
                    word = "Any" if is_any else "cast"
                    yield f"{source.path}:{node.lineno}: {word} needs its reason in a comment above the statement"


def _own_expressions(statement: ast.stmt) -> Iterator[ast.Name | ast.Call]:
    """Names and calls of a statement itself, without those of the statements inside it."""
    waiting = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name | ast.Call):
            yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def _has_reason(source: Source, statement: ast.stmt, line: int) -> bool:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    is_above = any(source.line_above(number).startswith("#") for number in {line, statement.lineno, first})
    return is_above or re.search(r"#\s*(Any|cast): \w", source.lines[line - 1]) is not None


def undocumented_module(source: Source) -> Iterator[str]:
    """Every module and package says in its first line what it knows."""
    if not ast.get_docstring(source.tree) and not source.path.startswith("tests/"):
        yield f"{source.path}:1: no docstring; say what this module knows and must never do"


def float_money(source: Source) -> Iterator[str]:
    """Money is integer micro-dollars inside and exact decimals at the edges, never a float."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, kind, line = node.target.id, node.annotation, node.lineno
        elif isinstance(node, ast.arg) and node.annotation is not None:
            name, kind, line = node.arg, node.annotation, node.lineno
        else:
            continue
        if MONEY_NAME.search(name) and "float" in ast.unparse(kind):
            yield f"{source.path}:{line}: {name} is a float; use MicroUsd inside and Decimal at the edges"


def mutable_domain_value(source: Source) -> Iterator[str]:
    """Domain values are frozen, slotted and built by keyword."""
    if not source.path.startswith("src/leverframe/domain/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                text = ast.unparse(decorator)
                wanted = ("frozen=True", "slots=True", "kw_only=True")
                if text.startswith("dataclass") and not all(word in text for word in wanted):
                    yield f"{source.path}:{node.lineno}: {node.name} needs @dataclass({', '.join(wanted)})"


def other_word(source: Source) -> Iterator[str]:
    """One word for one thing: the vocabulary of ARCHITECTURE.md and the reference, in every name we make."""
    if not source.path.startswith("src/"):
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.FunctionDef(name=made) | ast.AsyncFunctionDef(name=made) | ast.ClassDef(name=made):
                pass
            case ast.arg(arg=made) | ast.Name(id=made, ctx=ast.Store()):
                pass
            case _:
                continue
        for part in re.findall(r"[a-z]+|[A-Z][a-z]*", made):
            if part.lower() in OTHER_WORDS:
                yield f"{source.path}:{node.lineno}: {made}: the word here is {OTHER_WORDS[part.lower()]!r}"


def sleeps(source: Source) -> Iterator[str]:
    """A test waits for a condition with a deadline (tests/waiting.py)."""
    if source.path.startswith("tests/") and source.path != "tests/waiting.py":
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
                yield f"{source.path}:{node.lineno}: sleeps; wait with tests.waiting.until"


def skips(source: Source) -> Iterator[str]:
    """A test that cannot run says what it needs, and fails in CI (tests/capabilities.py)."""
    names = {"pytest.skip", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}
    if source.path.startswith("tests/") and source.path not in {"tests/capabilities.py", "tests/meta/test_sampling.py"}:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in names:
                yield f"{source.path}:{node.lineno}: use @pytest.mark.needs(...), which fails where CI=true"


def foreign_place(path: str, text: str) -> Iterator[str]:
    """Nothing that git keeps names somebody's machine or package index. Works on any text file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if MACHINE_PATH.search(line):
            yield f"{path}:{number}: a path of one machine: {line.strip()[:80]}"
        if REGISTRY.search(line) and path != "tests/meta/rules_words.py":
            yield f"{path}:{number}: names a package index; the user's own configuration does: {line.strip()[:80]}"


RULES = (
    catches_all,
    unfinished,
    decorated_comment,
    unreasoned_ignore,
    unreasoned_any,
    undocumented_module,
    float_money,
    mutable_domain_value,
    other_word,
    sleeps,
    skips,
)
