"""`python -m scripts.mutants MODULE ...`: which changes of a module of core/ no test notices.

Each change runs the tests that name the module, in a process of its own, until one fails.  Survivors that
docs/mutants.md judges are told apart from new ones, for which the exit code is 1.
"""

import argparse
import ast
import os
import random
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from scripts.mutations import Mutant, mutants_of

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "leverframe"
JUDGED = ROOT / "docs" / "mutants.md"
EXAMPLES = 25
# Tests that hold a module without naming it.
BESIDE = {
    "core/policy/decide": ("unit/test_budgets_edges",),
    "core/disclosures": ("property/test_redaction_total", "unit/test_redaction"),
    "core/approvals": ("unit/test_door_approvals", "unit/test_answers_clocks_and_people"),
    "core/budgets": ("unit/test_shared_budgets", "property/test_budgets"),
    "core/merkle": ("conformance/test_rfc6962_vectors",),
}
# Packages whose modules are held by the tests of what they make together.
TOGETHER = {
    "core/policy/": "test_policy_*.py",
    "core/conditions/": "test_conditions_*.py",
    "core/cedar/": "test_cedar_*",
}
# These build whole logs first, and hold what the others hold.
SLOW = {
    "test_overlays",
    "test_recorded_questions",
    "test_verifiers_agree",
    "test_fuzz",
    "test_cedar_equal",
    "test_cedar_engines",
    "test_verify_never_crashes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """How a run of the tests ended."""

    is_passed: bool
    took_s: float


class _Mutated(MetaPathFinder, Loader):
    """Gives one module another tree when it is imported."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)  # noqa: S102 - this is what the runner is for


class _Quick:
    """Few examples, and the same ones for every change."""

    def pytest_configure(self) -> None:
        quick = hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)
        hypothesis.settings.register_profile("mutants", quick)
        hypothesis.settings.load_profile("mutants")


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description="Mutation testing of core/.")
    parser.add_argument("modules", metavar="MODULE", nargs="+", help="such as core/budgets")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="for each module (600); a sample where it is short"
    )
    parser.add_argument("--seed", default="", help="of the order in which a time box is filled")
    options = parser.parse_args()
    judged = JUDGED.read_text(encoding="utf-8") if JUDGED.exists() else ""
    is_clean = True
    for name in options.modules:
        is_clean = report(name.removeprefix("src/leverframe/").removesuffix(".py"), options, judged) and is_clean
    return 0 if is_clean else 1


def report(name: str, options: argparse.Namespace, judged: str) -> bool:
    """Try the changes of one module and print what survived; whether every survivor is judged."""
    path, tests = SOURCE / f"{name}.py", tests_of(name)
    module = f"leverframe.{name.replace('/', '.')}"
    changes = list(mutants_of(path.read_text(encoding="utf-8")))
    random.Random(options.seed).shuffle(changes)  # noqa: S311 - an order, not a secret
    plain = tried(None, tests, limit_s=300)
    if not plain.is_passed:
        print(f"{name}: its tests fail without any change: {' '.join(tests)}")
        return False
    limit_s, until = int(plain.took_s * 4 + 10), time.monotonic() + options.seconds
    survivors: list[Mutant] = []
    count = 0
    for one in changes:
        if time.monotonic() > until:
            break
        count += 1
        if tried(_Mutated(module, path, one.tree), tests, limit_s).is_passed:
            survivors.append(one)
    fresh = [one for one in survivors if f"{name}.{one.key}" not in judged]
    told = f"{count} of {len(changes)} changes tried with {len(tests)} test files, {count - len(survivors)} noticed"
    print(f"{name}: {told}, {len(survivors)} survived, {len(fresh)} of them not judged in docs/mutants.md", flush=True)
    for one in sorted(survivors, key=lambda found: found.line):
        print(f"  {'judged' if one not in fresh else 'NEW   '}  {name}.py:{one.line}  {name}.{one.key}")
    return not fresh


def tests_of(name: str) -> list[str]:
    """The files of fast tests that name a module or a package around it, then those that are known to hold it.

    Those that are named like the module come first: most changes are noticed there.
    """
    dotted = re.escape(f"leverframe.{name.replace('/', '.')}")
    parent, _, leaf = name.replace("/", ".").rpartition(".")
    named = re.compile(rf"{dotted}\b|from leverframe\.{re.escape(parent)} import [^\n]*\b{leaf}\b")
    found = [path for folder in ("unit", "property") for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))]
    files = [str(path) for path in found if path.stem not in SLOW and named.search(path.read_text(encoding="utf-8"))]
    for package, pattern in TOGETHER.items():
        if name.startswith(package):
            around = [
                path for folder in ("unit", "property") for path in sorted((ROOT / "tests" / folder).glob(pattern))
            ]
            files += [str(path) for path in around if path.stem not in SLOW]
    files += [str(path) for one in BESIDE.get(name, ()) if (path := ROOT / "tests" / f"{one}.py").exists()]
    return sorted(dict.fromkeys(files), key=lambda path: leaf not in Path(path).stem)


def tried(mutated: _Mutated | None, tests: Sequence[str], limit_s: int) -> Child:
    """Run the tests in a child that has the change; one that takes too long is noticed as well."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_child(mutated, tests, limit_s)
    _, status = os.waitpid(pid, 0)
    return Child(is_passed=os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, took_s=time.monotonic() - began)


def _be_child(mutated: _Mutated | None, tests: Sequence[str], limit_s: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limit_s)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if mutated is not None:
        sys.meta_path.insert(0, mutated)
    code = 1
    try:
        # Hypothesis is loaded here once for all children, so its own assertions are not rewritten.
        loaded = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
        words = ["-x", "-q", "-W", loaded, "-p", "no:cacheprovider"]
        code = int(pytest.main([*words, *tests], plugins=[_Quick()]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
