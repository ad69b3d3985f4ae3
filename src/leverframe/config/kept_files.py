"""A project folder as one load saw it, so that another process loads the same project, whatever was edited since.

Never: looks at what the folder holds now; a file that the first load did not see is not there.
"""

from collections.abc import Mapping
from pathlib import Path

from leverframe.config.findings import Findings, Mark
from leverframe.config.project_files import ProjectFiles


class KeptFiles(ProjectFiles):
    """The files that `ProjectFiles.kept` named.  `root` is where they were, and where Python files say they are."""

    def __init__(self, root: Path, kept: Mapping[str, bytes | None]) -> None:
        super().__init__(root, {name: content for name, content in kept.items() if content is not None})
        self._kept = frozenset(kept)

    def _in(self, folder: str) -> set[str]:
        here = "" if folder == "." else f"{folder}/"
        return {name.removeprefix(here) for name in self._kept if name.startswith(here)}

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders below one folder that hold files, sorted."""
        return tuple(sorted({name.partition("/")[0] for name in self._in(folder) if "/" in name}))

    def exists(self, name: str) -> bool:
        """Whether there was such a file."""
        return name in self._kept

    def read(self, name: str, at: Mark, findings: Findings) -> bytes | None:
        """The bytes that it had; None with the reason in `findings`."""
        if name in self._kept:
            return super().read(name, at, findings)
        findings.error(at, "missing-file", f"The file {name!r} was not there when the project was loaded first.")
        return None
