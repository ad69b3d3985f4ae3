"""Every rule holds for every file, and every rule can fail."""

import pytest

from tests.meta import rules_shape, rules_words
from tests.meta.tree import Source, python_files, text_files

RULES = [*rules_shape.RULES, *rules_words.RULES]

CORE, DOMAIN, RUNTIME = "src/leverframe/core/x.py", "src/leverframe/domain/x.py", "src/leverframe/runtime/x.py"
TEST, DOC = "tests/unit/test_x.py", '"""Says what it knows."""\n'

BREAKS = [
    ("file_too_long", CORE, "x = 1\n" * 401),
    ("function_too_long", CORE, "def f():\n" + "    x = 1\n" * 60),
    ("class_too_wide", CORE, "class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(16))),
    ("vague_name", "src/leverframe/core/budget_utils.py", DOC),
    ("vague_name", "src/leverframe/runtime/handler2.py", DOC),
    ("impure_core", CORE, "from os import environ\n"),
    ("impure_core", DOMAIN, "import datetime\nnow = datetime.datetime.now(datetime.UTC)\n"),
    ("impure_core", CORE, "text = open('x').read()\n"),
    ("store_makes_up_values", "src/leverframe/store/sqlite/runs.py", "import uuid\n"),
    ("store_makes_up_values", "src/leverframe/store/sqlite/runs.py", "from datetime import datetime\ndatetime.now()\n"),
    ("driver_outside_store", RUNTIME, "import sqlite3\n"),
    ("acts_beside_the_door", RUNTIME, "from leverframe.ports import acting\n"),
    ("acts_beside_the_door", "src/leverframe/cli/run.py", "from leverframe.ports.acting import ToolExecutor\n"),
    ("lazy_import_without_reason", RUNTIME, "def f():\n    from leverframe.core import merkle\n"),
    ("catches_all", RUNTIME, "try: ...\nexcept (OSError, Exception): ...\n"),
    ("catches_all", CORE, "try: ...\nexcept: ...\n"),
    ("unfinished", CORE, "x = 1  # TO" + "DO finish\n"),
    ("unfinished", CORE, "def f():\n    raise NotImplementedError\n"),
    ("decorated_comment", CORE, "# ------ budgets ------\n"),
    ("decorated_comment", CORE, "x = '\N{ROCKET}'\n"),
    ("unreasoned_ignore", CORE, "x = f()  # type: " + "ignore\n"),
    ("unreasoned_ignore", CORE, "x = f()  # type: " + "ignore[attr-defined]\n"),
    ("unreasoned_ignore", CORE, "x = f()  # no" + "qa\n"),
    ("unreasoned_ignore", CORE, "x = f()  # no" + "qa: S603\n"),
    ("unreasoned_any", CORE, "def f(x: Any) -> int: ...\n"),
    ("unreasoned_any", CORE, "x = cast('int', y)\n"),
    ("undocumented_module", CORE, "x = 1\n"),
    ("float_money", CORE, "def f(cost_usd: float) -> int: ...\n"),
    ("float_money", DOMAIN, "limit_microusd: float | None = None\n"),
    ("mutable_domain_value", DOMAIN, "@dataclass(frozen=True)\nclass C: ...\n"),
    ("other_word", RUNTIME, "def record_intent(call: int) -> None: ...\n"),
    ("other_word", DOMAIN, "class TaintedValue: ...\n"),
    ("sleeps", TEST, "time.sleep(1)\n"),
    ("skips", TEST, "@pytest.mark.skipif(True)\ndef test_x(): ...\n"),
]

KEEPS = [
    ("catches_all", "src/leverframe/runtime/door/__init__.py", "try: ...\nexcept Exception: ...\n"),
    ("catches_all", CORE, "try: ...\nexcept BaseException:\n    undo()\n    raise\n"),
    ("catches_all", "src/leverframe/runtime/door_tools.py", "try: ...\nexcept Exception: ...\n"),
    ("acts_beside_the_door", "src/leverframe/runtime/door/settle.py", "from leverframe.ports.acting import X\n"),
    ("lazy_import_without_reason", RUNTIME, "def f():\n    # rich costs 60 ms\n    import rich\n"),
    ("unreasoned_ignore", CORE, "# the stub lacks it\nx = f()  # type: " + "ignore[attr-defined]\n"),
    ("unreasoned_ignore", CORE, "x = f()  # no" + "qa: S603 - a fixed command\n"),
    ("unreasoned_ignore", CORE, "import a  # no" + "qa: E402 - like all below\nimport b  # no" + "qa: E402\n"),
    ("unreasoned_any", CORE, "# argparse hands out Any\ndef f(x: Any) -> int: ...\n"),
    ("unreasoned_any", CORE, "def f(x: Any) -> int: ...  # Any: what argparse hands out\n"),
    ("unreasoned_any", CORE, "from typing import Any, cast\n"),
    ("impure_core", CORE, "def f(now: datetime) -> str:\n    return now.isoformat()\n"),
    ("vague_name", "src/leverframe/tools/mcp_stdio.py", DOC),
    ("other_word", RUNTIME, "call_intended = 'call.intended'\n"),
]


def broken(rule_name: str, source: Source) -> list[str]:
    return [offence for rule in RULES if rule.__name__ == rule_name for offence in rule(source)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: rules_shape.Rule) -> None:
    offences = [offence for source in python_files() for offence in rule(source)]

    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(("rule_name", "path", "text"), BREAKS)
def test_a_file_that_breaks_the_rule_is_found(rule_name: str, path: str, text: str) -> None:
    assert broken(rule_name, Source(path=path, text=text))


@pytest.mark.parametrize(("rule_name", "path", "text"), KEEPS)
def test_a_file_that_keeps_the_rule_is_left_alone(rule_name: str, path: str, text: str) -> None:
    assert not broken(rule_name, Source(path=path, text=text))


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule.__name__ for rule in RULES} == {name for name, _, _ in BREAKS}


def test_nothing_that_git_keeps_names_a_machine_or_a_package_index() -> None:
    offences = [offence for path, text in text_files() for offence in rules_words.foreign_place(path, text)]

    assert not offences, "\n".join(offences)


@pytest.mark.parametrize("line", ["cd /ro" + "ot/project", "see https://pypi" + ".org/simple", "--index" + "-url x"])
def test_a_machine_path_or_an_index_in_any_text_is_found(line: str) -> None:
    assert list(rules_words.foreign_place("README.md", line))
