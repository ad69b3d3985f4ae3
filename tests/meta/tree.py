"""The source tree as the rules see it: every Python file once, read and parsed."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("src", "tests", "examples", "bench", "scripts", "fuzz")
TEXT_SUFFIXES = {"", ".cfg", ".css", ".html", ".in", ".ini", ".json", ".jsonl", ".md", ".py", ".sql", ".svg", ".toml"}
TEXT_SUFFIXES |= {".txt", ".yaml", ".yml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file: where it is, seen from the root, and what it says."""

    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        return _split(self.text)

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)

    def line_above(self, number: int) -> str:
        """The line above line `number` (which starts at 1); empty above the first."""
        return self.lines[number - 2].strip() if number > 1 else ""


@cache
def _split(text: str) -> list[str]:
    return text.splitlines()


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def python_files() -> tuple[Source, ...]:
    """Every Python file of the product, its tests, examples, benchmarks and scripts."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple(
        Source(path=path.relative_to(ROOT).as_posix(), text=path.read_text(encoding="utf-8")) for path in paths
    )


def product_files() -> Iterator[Source]:
    """The files that users install."""
    return (source for source in python_files() if source.path.startswith("src/"))


@cache
def text_files() -> tuple[tuple[str, str], ...]:
    """Path and text of each file that git keeps, as far as it is text of ours."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name and Path(name).suffix in TEXT_SUFFIXES]
    return tuple((name, (ROOT / name).read_text(encoding="utf-8")) for name in names if (ROOT / name).is_file())


def module_of(path: str) -> str:
    """`src/leverframe/core/merkle.py` -> `leverframe.core.merkle`; a package is named without `__init__`."""
    return path.removeprefix("src/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
