"""The files of a project folder: read within bounds, and never from outside the folder.

Knows: names relative to the project, with `/`.  Never: follows a name or a link out of the folder, writes anything.
"""

from collections.abc import Mapping
from errno import EINVAL
from pathlib import Path

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.yaml_nodes import Node
from leverframe.config.yaml_source import MAX_FILE_BYTES, not_utf8, read_yaml
from leverframe.domain.tools import PythonOrigin


class ProjectFiles:
    """One project folder.  What was read once is answered from memory, so that one load sees one state of a file."""

    def __init__(self, root: Path, supposed: Mapping[str, bytes] | None = None) -> None:
        """Read below `root`; what is `supposed` is read as if it were there."""
        self.root = root.resolve()
        self._read: dict[str, bytes] = dict(supposed or {})
        self._supposed = frozenset(self._read)
        self._seen: set[str] = set()

    def kept(self) -> Mapping[str, bytes | None]:
        """What was seen of the folder until now, by name; None is of a file that nobody read."""
        return {name: self._read.get(name) for name in (*self._read, *self._seen)}

    def names(self, folder: str, *suffixes: str) -> tuple[str, ...]:
        """What ends so in one folder, sorted; hidden names and those that start with `_` are left out.

        A link that leads nowhere is listed too: what cannot be read is an error of whoever reads it, never a rule less.

        Raises:
            OSError: there is such a folder, and it cannot be listed.
        """
        here = "" if folder == "." else f"{folder}/"
        found = self._in(folder) | {name.removeprefix(here) for name in self._supposed if name.startswith(here)}
        names = sorted(name for name in found if Path(name).suffix.lower() in suffixes and "/" not in name)
        listed = tuple(f"{here}{name}" for name in names if name[0] not in "._")
        self._seen.update(listed)
        return listed

    def _in(self, folder: str) -> set[str]:
        try:
            return {path.name for path in self.root.joinpath(folder).iterdir() if not path.is_dir()}
        except FileNotFoundError:
            return set()

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names of the folders below one folder, sorted.

        Raises:
            OSError: there is such a folder, and it cannot be listed.
        """
        try:
            return tuple(sorted(path.name for path in self.root.joinpath(folder).iterdir() if path.is_dir()))
        except FileNotFoundError:
            return ()

    def exists(self, name: str) -> bool:
        """Whether there is such a file within the project."""
        path = self.root / name
        found = name in self._read or (path.is_file() and path.resolve().is_relative_to(self.root))
        if found:
            self._seen.add(name)
        return found

    def read(self, name: str, at: Mark, findings: Findings) -> bytes | None:
        """The bytes of a file that is named at `at`; None with the reason in `findings`."""
        if name in self._read:
            return self._read[name]
        path = self.root / name
        try:
            if not path.resolve().is_relative_to(self.root):
                findings.error(
                    at, "outside-project", f"The file {name!r} is outside the project folder.", "Keep it inside."
                )
                return None
            content = _bytes_of(path)
        except FileNotFoundError:
            if path.is_symlink():
                findings.error(at, "missing-file", f"{name!r} is a link that leads nowhere.", "Mend it, or delete it.")
                return None
            parent = path.parent
            near = [each.name for each in parent.iterdir()] if parent.is_dir() else []
            findings.error(
                at, "missing-file", f"The file {name!r} is not there.", did_you_mean(path.name, near) or "Write it."
            )
            return None
        except (OSError, ValueError, RuntimeError) as err:
            # RuntimeError: a link that leads to itself.
            reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
            findings.error(
                at, "unreadable-file", f"The file {name!r} cannot be read: {reason}.", "Let this user read it."
            )
            return None
        if len(content) > MAX_FILE_BYTES:
            findings.error(
                at, "file-too-large", f"The file {name!r} is larger than {MAX_FILE_BYTES:,} bytes.", "Split it."
            )
            return None
        self._read[name] = content
        return content

    def text(self, name: str, at: Mark, findings: Findings) -> str | None:
        """A file of UTF-8 text; None with the reason in `findings`."""
        content = self.read(name, at, findings)
        if content is None:
            return None
        try:
            return content.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as err:
            not_utf8(name, err, findings)
            return None

    def yaml(self, name: str, findings: Findings) -> Node | None:
        """A YAML file as a tree; None with the reason in `findings`."""
        content = self.read(name, Mark(name), findings)
        return None if content is None else read_yaml(name, content, findings)


def _bytes_of(path: Path) -> bytes:
    """The first bytes of a plain file, one more than it may have.  Raises OSError; a pipe would be waited for."""
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is a folder, a pipe or a device")
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def python_origin(text: str) -> PythonOrigin:
    """`facts.py:refund_value` as a file and a function; the registry has checked its form."""
    file, _, function = text.rpartition(":")
    return PythonOrigin(file=file, function=function)
