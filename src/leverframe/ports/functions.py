"""Pure Python functions of the project: facts, checks of a chain, `reconcile.done`."""

from collections.abc import Sequence
from typing import Protocol

from leverframe.domain.json import Json
from leverframe.domain.tools import PythonOrigin


class ProjectFunctions(Protocol):
    """Contract: `call` runs one function of the project's own files on plain values and returns a plain value.

    The function is trusted as the project's own code.  It is given copies, so that it cannot change what was
    recorded.  Whatever it raises becomes `ToolUnavailable`, naming file, line and function.
    """

    def call(self, origin: PythonOrigin, values: Sequence[Json]) -> Json:
        """The function's answer for these positional values."""
        ...
