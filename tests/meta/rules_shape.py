"""Rules on size, names and imports. Each takes a source and yields what breaks it, with the next move."""

import ast
import re
from collections.abc import Callable, Iterator

from tests.meta.tree import Source, module_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PUBLIC_METHODS = 15

VAGUE_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "stuff"}
VAGUE_NUMBERED = re.compile(r"(handler|service|new|old|v)\d+$")

IMPURE_MODULES = {
    "aiohttp",
    "asyncio",
    "httpx",
    "jinja2",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "sqlite3",
    "starlette",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
CLOCK_METHODS = {"now", "utcnow", "today"}
DATABASE_DRIVERS = {"sqlite3", "psycopg", "aiosqlite", "asyncpg", "sqlalchemy"}
ACTING = "leverframe.ports.acting"
MAY_ACT = ("leverframe.runtime.door", "leverframe.models", "leverframe.tools", "leverframe.wiring")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[Source], Iterator[str]]


def file_too_long(source: Source) -> Iterator[str]:
    """A file over 400 lines holds two subjects."""
    if len(source.lines) > MAX_FILE_LINES:
        yield f"{source.path}: {len(source.lines)} lines, at most {MAX_FILE_LINES}; split it by what it knows"


def function_too_long(source: Source) -> Iterator[str]:
    """A function over 60 lines does two things."""
    for node in ast.walk(source.tree):
        if isinstance(node, Function) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{source.path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"


def class_too_wide(source: Source) -> Iterator[str]:
    """A class with more than 15 public methods is two classes."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            public = [item for item in node.body if isinstance(item, Function) and not item.name.startswith("_")]
            if len(public) > MAX_PUBLIC_METHODS:
                yield f"{source.path}:{node.lineno}: {node.name} has {len(public)} public methods, at most 15"


def vague_name(source: Source) -> Iterator[str]:
    """A module is named after the thing it knows."""
    for part in source.path.removesuffix(".py").split("/"):
        if VAGUE_WORDS & set(part.lower().split("_")) or VAGUE_NUMBERED.match(part.lower()):
            yield f"{source.path}: {part!r} says nothing; name the module after the thing it knows"


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported, dotted in full, with its line. `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def impure_core(source: Source) -> Iterator[str]:
    """`core` and `domain` take the clock, ids and random bits as arguments, and do no I/O."""
    if not source.path.startswith(("src/leverframe/core/", "src/leverframe/domain/")):
        return
    for name, line in imported(source.tree):
        if name.split(".")[0] in IMPURE_MODULES:
            yield f"{source.path}:{line}: imports {name}; pass what it gives as an argument"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{source.path}:{node.lineno}: calls {node.func.id}(); that belongs in an adapter"
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_METHODS and _is_date_class(node.value):
            yield f"{source.path}:{node.lineno}: reads the clock; take `now` as an argument"


def store_makes_up_values(source: Source) -> Iterator[str]:
    """The store writes what it is given: ids and timestamps are made in `runtime`."""
    if not source.path.startswith("src/leverframe/store/"):
        return
    for name, line in imported(source.tree):
        if name.split(".")[0] in {"random", "secrets", "uuid"}:
            yield f"{source.path}:{line}: imports {name}; take the id as an argument"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_METHODS and _is_date_class(node.value):
            yield f"{source.path}:{node.lineno}: reads the clock; take `now` as an argument"


def _is_date_class(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in {"date", "datetime"}


def driver_outside_store(source: Source) -> Iterator[str]:
    """Database drivers are imported by the store alone."""
    if source.path.startswith("src/") and not source.path.startswith("src/leverframe/store/"):
        for name, line in imported(source.tree):
            if name in DATABASE_DRIVERS:
                yield f"{source.path}:{line}: imports {name}; only leverframe.store talks to a database"


def acts_beside_the_door(source: Source) -> Iterator[str]:
    """There is one door: nothing else holds the ports that act."""
    module = module_of(source.path)
    if not source.path.startswith("src/") or any(module == may or module.startswith(f"{may}.") for may in MAY_ACT):
        return
    for name, line in imported(source.tree):
        if name == ACTING:
            yield f"{source.path}:{line}: imports {ACTING}; ask the door (leverframe.runtime.door) to do it"


def lazy_import_without_reason(source: Source) -> Iterator[str]:
    """An import inside a function is a heavy library, and the comment above says so; it never dodges a cycle."""
    if not source.path.startswith("src/"):
        return
    functions = [node for node in ast.walk(source.tree) if isinstance(node, Function)]
    for node in {inner for function in functions for inner in ast.walk(function)}:
        if isinstance(node, ast.Import | ast.ImportFrom) and not _is_reasoned(source, node.lineno):
            yield f"{source.path}:{node.lineno}: an import inside a function needs its reason in a comment above it"


def _is_reasoned(source: Source, line: int) -> bool:
    while source.line_above(line).startswith(("import ", "from ")):
        line -= 1
    return source.line_above(line).startswith("#") or "#" in source.lines[line - 1]


RULES = (
    file_too_long,
    function_too_long,
    class_too_wide,
    vague_name,
    impure_core,
    store_makes_up_values,
    driver_outside_store,
    acts_beside_the_door,
    lazy_import_without_reason,
)
