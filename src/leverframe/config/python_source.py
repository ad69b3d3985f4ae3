"""Python files of the project: run where they hold tools, only read where they hold facts and checks.

Python tools are the project's own code and are trusted as such: loading the project runs `tools/*.py` with all the
rights of this process.  A file that fails is a problem with its line, never a crash of ours.
"""

import ast
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.project_files import ProjectFiles
from leverframe.domain.conditions import AnyType, BoolType, NumberType, StringType, Type
from leverframe.domain.tools import PythonOrigin

_MEND = "Mend it there; python -m py_compile FILE says the same."
_RETURN_TYPES: dict[str, Type] = {
    "str": StringType(),
    "bool": BoolType(),
    "int": NumberType(),
    "Decimal": NumberType(),
    "decimal.Decimal": NumberType(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionShape:
    """What a function looks like from outside: how many values it takes, and the type it gives back."""

    at: Mark
    takes_least: int
    takes_most: int
    returns: Type


class _Caught:
    """A block of the project's own code: whatever it raises is kept, since it is a finding about that code."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        # Ctrl-C is the person's word to us and not the file's.
        return not isinstance(error, KeyboardInterrupt)


@dataclass(slots=True)
class PythonSources:
    """The Python files of one project load: each is parsed once and run at most once."""

    files: ProjectFiles
    findings: Findings
    _trees: dict[str, ast.Module | None] = field(default_factory=dict)
    _modules: dict[str, ModuleType | None] = field(default_factory=dict)

    def shape(self, origin: PythonOrigin, at: Mark) -> FunctionShape | None:
        """Find a function without running its file; None with the reason in the findings."""
        tree = self.tree(origin.file, at)
        if tree is None:
            return None
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        found = functions.get(origin.function)
        if found is None:
            self.findings.error(
                at,
                "unknown-function",
                f"The file {origin.file!r} has no function {origin.function!r}.",
                did_you_mean(origin.function, functions),
            )
            return None
        return _shape(found, origin.file)

    def tree(self, file: str, at: Mark) -> ast.Module | None:
        """The syntax tree of a file that is named at `at`."""
        if file not in self._trees:
            text = self.files.text(file, at, self.findings)
            self._trees[file] = None if text is None else self._parse(file, text)
        return self._trees[file]

    def _parse(self, file: str, text: str) -> ast.Module | None:
        try:
            return ast.parse(text, filename=file)
        except SyntaxError as err:
            place = Mark(file, err.lineno or 1, err.offset or 1)
            self.findings.error(place, "python-syntax", f"This is not Python: {err.msg}.", _MEND)
        except ValueError as err:
            self.findings.error(Mark(file), "python-syntax", f"This is not Python: {err}.", _MEND)
        except (RecursionError, MemoryError):
            # The parser's own depth ran out, not the machine's memory.
            self.findings.error(Mark(file, 1, 1), "python-syntax", "It is nested too deeply to be read.", "Flatten it.")
        return None

    def module(self, file: str, at: Mark) -> ModuleType | None:
        """Run a file as a module of its own; None with the reason in the findings."""
        if file not in self._modules:
            tree = self.tree(file, at)
            self._modules[file] = None if tree is None else self._run(file, tree)
        return self._modules[file]

    def function(self, origin: PythonOrigin, at: Mark) -> Callable[..., object] | None:
        """A function of a file that is run for it; None with the reason in the findings."""
        module = self.module(origin.file, at)
        if module is None:
            return None
        found: object = getattr(module, origin.function, None)
        if callable(found):
            return found
        names = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
        self.findings.error(
            at,
            "unknown-function",
            f"The file {origin.file!r} has no function {origin.function!r}.",
            did_you_mean(origin.function, names),
        )
        return None

    def _run(self, file: str, tree: ast.Module) -> ModuleType | None:
        path = self.files.root / file
        module = ModuleType(module_name(path))
        module.__file__ = str(path)
        # Before it runs, since dataclasses look their own module up while they are made.
        sys.modules[module.__name__] = module
        with _Caught() as caught:
            exec(compile(tree, str(path), "exec"), vars(module))  # noqa: S102 - the project's own, trusted code
        if caught.error is None:
            return module
        del sys.modules[module.__name__]
        frames = traceback.extract_tb(caught.error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path) and frame.lineno]
        error = type(caught.error).__name__
        text = str(caught.error).splitlines()[0][:300] if str(caught.error) else ""
        self.findings.error(
            Mark(file, lines[-1] if lines else 0, 1),
            "python-error",
            f"Running the file raised {error}{': ' if text else ''}{text}.",
            "Install what it imports, or mend it; a tool file stands alone or imports installed packages.",
        )
        return None


def module_name(path: Path) -> str:
    """The name under which a file of the project is run; it shadows no installed package."""
    return f"_leverframe_check_{sha256(str(path).encode()).hexdigest()[:16]}"


def _shape(node: ast.FunctionDef, file: str) -> FunctionShape:
    args = node.args
    positional = len(args.posonlyargs) + len(args.args)
    returns = _RETURN_TYPES.get(ast.unparse(node.returns)) if node.returns is not None else None
    return FunctionShape(
        at=Mark(file, node.lineno, node.col_offset + 1),
        takes_least=positional - len(args.defaults),
        takes_most=positional if args.vararg is None else sys.maxsize,
        returns=returns or AnyType(),
    )
