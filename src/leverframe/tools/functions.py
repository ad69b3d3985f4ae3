"""Functions of the project's own Python files: found, loaded once, called.

Knows: how `tools/shop.py:lookup_order` becomes a callable.  Never: loads a file outside the project folder, nor puts
the project on `sys.path`: a module of the project is private to Leverframe and shadows nothing.
"""

import copy
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from leverframe.core.nearest import nearest
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.domain.json import Json
from leverframe.domain.tools import PythonOrigin
from leverframe.ports.functions import ProjectFunctions
from leverframe.tools.results import plain


class Caught:
    """A block of foreign code: whatever it raises is kept as a value, since it is part of the answer.

    `SystemExit` and the like are kept too: a tool must not end the process that serves others.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        # Ctrl-C reaches the main thread alone: there it is a person's word to us and not the tool's.
        is_ours = threading.current_thread() is threading.main_thread() and isinstance(error, KeyboardInterrupt)
        return not is_ours


class PythonFunctions(ProjectFunctions):
    """The functions of one project folder.  Each file is run once, whatever the number of threads.

    Args:
        root: the folder.
        sources: files by name as they were loaded and pinned; these are run, and not what they were edited into since.
    """

    def __init__(self, root: Path, sources: Mapping[str, bytes] | None = None) -> None:
        self._root = root.resolve()
        self._sources = dict(sources or {})
        self._modules: dict[Path, ModuleType] = {}
        self._lock = threading.RLock()

    def call(self, origin: PythonOrigin, values: Sequence[Json]) -> Json:
        """The function's answer for these positional values.

        Raises:
            ToolUnavailable: the function is not there, raised, or returned what is not JSON.
        """
        function = self.find(origin)
        with Caught() as caught:
            answer = function(*copy.deepcopy(list(values)))
        if caught.error is not None:
            raise ToolUnavailable(
                f"{place(origin, caught.error)} raised {sentence(caught.error)}",
                next_move="Mend the function; nothing was done.",
            ) from caught.error
        try:
            return plain(answer)
        except JsonInvalid as err:
            raise ToolUnavailable(f"{place(origin)} returned no usable value: {err.message}") from err

    def find(self, origin: PythonOrigin) -> Callable[..., object]:
        """The callable.

        Raises:
            ToolUnavailable: the file is outside the project, missing or does not load, or has no such function.
        """
        module = self._module(origin.file)
        found: object = getattr(module, origin.function, None)
        if not callable(found):
            names = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
            close = nearest(origin.function, names)
            raise ToolUnavailable(
                f"{origin.file!r} has no function {origin.function!r}.",
                next_move=f"Did you mean {close!r}?" if close else "Write it, or name another.",
            )
        return found

    def _module(self, file: str) -> ModuleType:
        path = (self._root / file).resolve()
        if not path.is_relative_to(self._root):
            raise ToolUnavailable(
                f"The Python file {file!r} is outside the project folder.", next_move="Keep it inside, as tools/*.py."
            )
        with self._lock:
            if path not in self._modules:
                self._modules[path] = _load(path, file, self._sources.get(file))
            return self._modules[path]


def place(origin: PythonOrigin, error: BaseException | None = None) -> str:
    """`tools/shop.py:41 lookup_order`: where the function stands, or the line of it that raised."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__ if error else None)
        if frame.filename.endswith(origin.file) and frame.lineno
    ]
    return f"{origin.file}:{lines[-1]} {origin.function}" if lines else f"{origin.file} {origin.function}"


def sentence(error: BaseException, *, max_chars: int = 500) -> str:
    """`KeyError: 'order_id'`, cut where it is long."""
    text = str(error)
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__)[:max_chars]


def _load(path: Path, file: str, source: bytes | None) -> ModuleType:
    name = f"_leverframe_project_{sha256(str(path).encode()).hexdigest()[:16]}"
    # Named here, since Python knows it by `.py` alone, and a project's tools may stand in SHOP.PY.
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    if spec is None or spec.loader is None or (source is None and not path.is_file()):
        raise ToolUnavailable(
            f"The Python file {file!r} is not there.", next_move="Mend its name in the tool spec, or write it."
        )
    module = importlib.util.module_from_spec(spec)
    # Before it runs, since dataclasses look their own module up while they are made.
    sys.modules[name] = module
    with Caught() as caught:
        if source is None:
            spec.loader.exec_module(module)
        else:
            exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102 - the project's own, trusted code
    if caught.error is not None:
        del sys.modules[name]
        origin = PythonOrigin(file=file, function="")
        raise ToolUnavailable(
            f"{place(origin, caught.error).strip()} does not load: {sentence(caught.error)}",
            next_move="Run it with Python to see the whole traceback.",
        ) from caught.error
    return module
