"""The README's blocks as they stand, typed into a fresh folder with the wheel of this commit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The first ten minutes: more commands than these, and nobody types them.
MOST_COMMANDS = 7


def shell_blocks() -> list[str]:
    """Every block of the README that a person is to type, in order."""
    return BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """All blocks typed into one shell, in a fresh folder with a fresh virtual environment."""
    folder = tmp_path_factory.mktemp("readme")
    wheels, packages, home = folder / "wheels", folder / "packages", folder / "home"
    home.mkdir()
    # A copy, so that a build of this test leaves nothing in the tree.
    run("git", "clone", "-q", "--no-hardlinks", str(ROOT), str(folder / "clone"))
    run(
        *(sys.executable, "-m", "pip", "wheel", str(folder / "clone"), "-q", "--no-deps"),
        *("--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", str(wheels)),
    )
    run(sys.executable, "-m", "venv", str(packages))
    here = folder / "here"
    here.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PATH": f"{packages / 'bin'}:{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONWARNINGS": "",
    }
    script = "set -eu\n" + "\n".join(shell_blocks())
    return subprocess.run(
        ["sh", "-c", script], cwd=here, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_of_the_readme_runs_as_it_is_written(typed: subprocess.CompletedProcess[str]) -> None:
    assert typed.returncode == 0, typed.stdout + typed.stderr


def test_the_first_run_is_held_then_granted_then_explained(typed: subprocess.CompletedProcess[str]) -> None:
    _, _, own = typed.stdout.rpartition("A project in my-desk")

    assert "HELD" in own
    assert own.index("HELD") < own.index("GRANTED by") < own.index("asked for") < own.index("approved by")


def test_the_first_ten_minutes_are_few_commands() -> None:
    commands = [line for block in shell_blocks() for line in block.splitlines() if line and not line.startswith("#")]

    assert len(commands) <= MOST_COMMANDS


def test_the_readme_shows_the_contract_that_init_writes() -> None:
    written = (ROOT / "src/leverframe/config/template/refund_request.yaml").read_text(encoding="utf-8")

    assert written in (ROOT / "README.md").read_text(encoding="utf-8")
