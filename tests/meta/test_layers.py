"""The layer contracts hold, and are all there."""

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from tests.meta.tree import ROOT

CONTRACTS = {"layers", "edges", "pure", "sql", "acyclic", "sdk", "door", "replay"}
ADAPTERS = {"store", "models", "tools", "identity", "telemetry", "scheduler", "notify", "signing"}


def contracts() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def test_every_layer_contract_is_kept() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"

    done = subprocess.run(
        [lint_imports, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


def test_no_contract_was_dropped_or_eased() -> None:
    config = contracts()
    names = {section.removeprefix("importlinter:contract:") for section in config.sections() if ":" in section}
    options = {option for section in config.sections() for option in config.options(section)}

    assert names == CONTRACTS
    assert config["importlinter:contract:layers"]["exhaustive"] == "True"
    assert not options & {"ignore_imports", "allow_indirect_imports"}


def test_every_adapter_is_known_to_wiring_alone() -> None:
    config = contracts()
    layer = next(line for line in config["importlinter:contract:layers"]["layers"].splitlines() if "store" in line)
    protected = config["importlinter:contract:edges"]["protected_modules"].split()

    assert set(re.findall(r"\w+", layer)) == ADAPTERS
    assert {name.removeprefix("*.") for name in protected} == ADAPTERS
