"""What a test needs of the machine, and what happens where the machine lacks it.

A test says `@pytest.mark.needs(program="openssl")` or `@pytest.mark.needs(module="xllamacpp")`. On a developer's
machine a lack skips the test and says why. In CI (CI=true) it fails: there, a skipped test is an install step that
somebody forgot. No other way of skipping is allowed (tests/meta).
"""

import os
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import NoReturn

import pytest

MARKER = "needs(program=..., module=..., folder=...): skip where the machine lacks it; fail where CI=true"


def is_ci() -> bool:
    """Whether a lack is a failure."""
    return os.environ.get("CI", "") == "true"


def lack(kind: str, name: str) -> str:
    """Say what is missing and how to get it; empty when it is there.

    Raises:
        ValueError: `kind` is none of `program`, `module` and `folder`.
    """
    if kind == "program":
        return "" if which(name) else f"needs the program {name!r}, which is not on PATH; install it with your system"
    if kind == "module":
        is_there = find_spec(name) is not None
        return "" if is_there else f"needs the Python module {name!r}; `make test` installs it, or see requirements/"
    if kind == "folder":
        return "" if Path(name).is_dir() else f"needs the folder {name!r}; .ci/run names the package that brings it"
    message = f"@pytest.mark.needs knows program=, module= and folder=, not {kind!r}"
    raise ValueError(message)


def skip_or_fail(reason: str) -> NoReturn:
    """Leave a test that cannot run here: skipped for a developer, failed in CI."""
    if is_ci():
        pytest.fail(f"CI must be able to run every test, and this one {reason}", pytrace=False)
    pytest.skip(reason)
