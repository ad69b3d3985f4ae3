"""The demo's project: a fresh copy of the returns desk with a state of its own, and the shop within reach of a bench.

Never: touches a folder that it did not make.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from examples.returns_desk.bench import ShopBench
from leverframe.config.lock_file import LOCK_FILE, load_lock, write_lock
from leverframe.config.project import load_project
from leverframe.core.pins import moved, reached_by
from leverframe.domain.contracts import Project

SOURCE: Final = Path(__file__).parent
_MARK: Final = "made-by-the-returns-desk-demo"
_PROJECT_FILE: Final = "leverframe.yaml"
_SERVER: Final = "[python, shop_server.py]"
# The project: what `leverframe` and the shop read.  The rest of this folder plays the demo.
_FOLDERS: Final = ("workflows", "tools", "prompts", "schemas")
_FILES: Final = (_PROJECT_FILE, LOCK_FILE, "facts.py", "checks.py", "shop_server.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo plays.  `sockets` is a short folder: a socket's path has at most 107 bytes."""

    root: Path
    sockets: Path
    project: Project

    @classmethod
    def fresh(cls, root: Path) -> Self:
        """Make the demo's folder anew.

        Raises:
            FileExistsError: there is a folder of somebody else's.
        """
        if root.exists():
            if not (root / _MARK).exists():
                raise FileExistsError(f"{root} is not a folder of this demo; move it away, or run it elsewhere.")
            shutil.rmtree(root)
        root.parent.mkdir(parents=True, exist_ok=True)
        # Absolute from here on: the shop runs in another folder, and a link is read from where it stands.
        return cls._at(root.resolve())

    @classmethod
    def second(cls, root: Path, name: str) -> Self:
        """The same project and state for another process, with a shop of its own: two processes never share one."""
        home = root / name
        if home.exists():
            shutil.rmtree(home)
        stage = cls._at(home)
        (home / ".leverframe").symlink_to(root.resolve() / ".leverframe")
        return stage

    @classmethod
    def _at(cls, home: Path) -> Self:
        home.mkdir()
        # First of all: what is stopped half-way is known again as ours.
        (home / _MARK).touch()
        sockets = Path(tempfile.mkdtemp(prefix="desk-"))
        for name in _FOLDERS:
            shutil.copytree(SOURCE / name, home / name)
        for name in _FILES:
            shutil.copy(SOURCE / name, home / name)
        project_file = home / _PROJECT_FILE
        server = f'[python, shop_server.py, --control, "{sockets / "shop.sock"}"]'
        project_file.write_text(project_file.read_text(encoding="utf-8").replace(_SERVER, server), encoding="utf-8")
        # The same shop, reached with a control socket beside it; every other word of its pins stays.
        project = load_project(home)
        write_lock(home, moved(load_lock(home), "shop", reached_by(project.servers["shop"])))
        return cls(root=home, sockets=sockets, project=load_project(home))

    @property
    def bench(self) -> ShopBench:
        """The way to the shop that does not lead through the door."""
        return ShopBench(control=self.sockets / "shop.sock")

    def close(self) -> None:
        """Remove the sockets.  The project stays with its state, and its shop starts again without a bench."""
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name in (_PROJECT_FILE, LOCK_FILE):
            shutil.copy(SOURCE / name, self.root / name)
