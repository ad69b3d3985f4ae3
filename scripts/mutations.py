"""Small changes of a module's meaning, one at a time, as syntax trees.

Knows: which changes are worth a test (comparisons, arithmetic, logic, constants, returns, statements left out).
Never: changes texts, types, decorators or the words of an error, which no decision rests on.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
MAX_CHARS = 100
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change: where, what it was, what it is now, and the whole module with it."""

    line: int
    function: str
    before: str
    after: str
    tree: ast.Module

    @property
    def key(self) -> str:
        """How docs/mutants.md names it; no line number, so that it outlives other changes of the file."""
        return f"{self.function}: `{self.before}` -> `{self.after}`"


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every change of a module, in the order of its lines."""
    original = ast.parse(source)
    found = sorted(_places(original, "module"), key=lambda one: (one[0].lineno, one[0].col_offset))
    for node, function in found:
        for changed in _changes(node):
            yield _mutant(original, node, changed, function)


_Place = ast.expr | ast.stmt


def _mutant(original: ast.Module, node: _Place, changed: _Place, function: str) -> Mutant:
    # The replaced node is found again in the copy by its number in the walk, which both trees share.
    number = next(at for at, one in enumerate(ast.walk(original)) if one is node)
    tree = copy.deepcopy(original)
    target = next(one for at, one in enumerate(ast.walk(tree)) if at == number)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, ast.copy_location(changed, node))
            elif isinstance(value, list) and any(one is target for one in value):
                value[[one is target for one in value].index(True)] = ast.copy_location(changed, node)
    ast.fix_missing_locations(tree)
    return Mutant(line=node.lineno, function=function, before=_short(node), after=_short(changed), tree=tree)


def _short(node: _Place) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."


def _places(node: ast.AST, function: str) -> Iterator[tuple[_Place, str]]:
    """What may be changed, with the function that it stands in."""
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "annotation", "returns", "type_params", "bases", "keywords_of_class"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            inside = function
            if isinstance(child, _Function | ast.ClassDef):
                inside = f"{function}.{child.name}".removeprefix("module.")
            if isinstance(child, ast.expr | ast.stmt):
                yield child, function
            yield from _places(child, inside)


def _is_left_alone(node: ast.AST) -> bool:
    """Docstrings, texts, imports, and what an error says."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_call_of_field = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "field"
    return is_text or is_call_of_field or isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _changes(node: _Place) -> Iterator[_Place]:
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            changed = [*node.ops[:at], _COMPARE[type(op)](), *node.ops[at + 1 :]]
            yield ast.Compare(left=node.left, ops=changed, comparators=node.comparators)
    else:
        yield from _expressions(node)


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(op=operator) if type(operator) in _BINARY:
            yield ast.BinOp(left=node.left, op=_BINARY[type(operator)](), right=node.right)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(operator, ast.And) else ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as truth):
            yield ast.Constant(value=not truth)
        case ast.Constant(value=int() as number):
            yield ast.Constant(value=number + 1)
        case ast.IfExp(test=test):
            yield ast.IfExp(test=ast.UnaryOp(op=ast.Not(), operand=test), body=node.body, orelse=node.orelse)


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield ast.If(test=ast.UnaryOp(op=ast.Not(), operand=test), body=node.body, orelse=node.orelse)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(value=ast.Constant(value=None))
        case ast.AugAssign(op=operator) if type(operator) in _BINARY:
            yield ast.AugAssign(target=node.target, op=_BINARY[type(operator)](), value=node.value)
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.Raise():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
