"""`leverframe init`: a small project that runs, written whole or not at all.

Knows: which files a new project has.  Never: overwrites, and never leaves half a project behind.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from leverframe.config.json_schemas import schema_text
from leverframe.domain.errors import AlreadyExists, StoreUnavailable

_TEMPLATE = {
    "leverframe.yaml": "leverframe.yaml",
    "workflows/refund_request.yaml": "refund_request.yaml",
    "tools/shop.py": "shop.py.txt",
    "inputs/refund_request.json": "refund_request.json",
    "recordings/refund_request.jsonl": "refund_request.jsonl",
    ".gitignore": "gitignore.txt",
}
_SCHEMAS = {
    "schemas/project.schema.json": "project",
    "schemas/workflow.schema.json": "workflow",
    "schemas/tool.schema.json": "tool",
}
_SCHEMA_LINES = {
    "leverframe.yaml": "# yaml-language-server: $schema=schemas/project.schema.json\n",
    "workflows/refund_request.yaml": "# yaml-language-server: $schema=../schemas/workflow.schema.json\n",
}


def write_new_project(folder: Path) -> tuple[Path, ...]:
    """Write a project into a new or empty folder and return its files, in the order in which to read them.

    Raises:
        AlreadyExists: the folder is a file, or has something of the project's names in it.  Nothing was written.
        StoreUnavailable: the disk cannot be written to.  Nothing was left behind.
    """
    contents = project_contents()
    with new_project(folder, contents) as staging:
        write_files(staging, contents)
    return tuple(folder / name for name in contents)


@contextmanager
def new_project(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """A folder to make a project in, beside its place; moved there whole where the block ends well, else gone.

    Raises:
        AlreadyExists: the folder is a file, or has something of these names in it.  Nothing was written.
        StoreUnavailable: the disk cannot be written to.  Nothing was left behind.
    """
    # Where a link leads: nothing can be moved onto the link itself.
    target = folder.resolve() if folder.is_symlink() else folder.absolute()
    _refuse_what_is_there(target, names)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place and moved there whole, so that a full disk or a kill leaves no half project.
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as err:
        raise _unwritable(target, err) from err
    try:
        yield staging
        staging.chmod(0o755)
        _move(staging, target)
    except OSError as err:
        raise _unwritable(target, err) from err
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files below a folder, with the folders they need."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def project_contents() -> dict[str, bytes]:
    """The files of a new project, by name."""
    template = files("leverframe.config") / "template"
    contents = {
        name: _SCHEMA_LINES.get(name, "").encode() + template.joinpath(source).read_bytes()
        for name, source in _TEMPLATE.items()
    }
    return contents | {name: schema_text(file).encode() for name, file in _SCHEMAS.items()}


def _refuse_what_is_there(target: Path, names: Iterable[str]) -> None:
    if target.exists() and not target.is_dir():
        raise AlreadyExists(f"{str(target)!r} is a file.", next_move="Name a new folder.")
    there = next((name for name in names if (target / name).exists()), None)
    if there is not None:
        raise AlreadyExists(
            f"{str(target / there)!r} is already there; nothing was written.", next_move="Name a new folder."
        )


def _move(staging: Path, target: Path) -> None:
    """Put the project in its place: in one move where the folder is new, else part by part.

    An empty folder is not replaced by another one of its name: a shell that stands in it would stand nowhere.
    """
    if not target.exists():
        staging.rename(target)
        return
    moved: list[Path] = []
    try:
        for part in sorted(staging.iterdir()):
            place = target / part.name
            part.rename(_free(place))
            moved.append(place)
    except (OSError, AlreadyExists):
        for place in moved:
            place.rename(staging / place.name)
        raise


def _free(place: Path) -> Path:
    if place.exists():
        raise AlreadyExists(f"{str(place)!r} is already there; nothing was written.", next_move="Name a new folder.")
    return place


def _unwritable(target: Path, err: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The project cannot be written to {str(target)!r}: {err.strerror}.",
        next_move="Nothing was left behind; free the disk or name another folder.",
    )
