"""What a process and all that it started have of the machine, read from /proc.

Knows: a sandbox's whole tree, for its first process adopts every orphan; of a trusted process, what has not been
orphaned.  Memory is what the kernel would get back: pages of several processes count once.
Source: proc(5), /proc/PID/task/TID/children, smaps_rollup.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_READ_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 512  # of st_blocks, whatever the file system's own blocks are
_STILL: Final = (b"T", b"t", b"Z", b"X", b"")  # stopped, traced, ended
_MEMORY_FILE: Final = "/memfd:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A look at a tree: its processes, their threads, and the sum of what each has in memory."""

    pids: Sequence[int]
    tasks: int
    resident_bytes: int


def can_be_read() -> bool:
    """Whether this kernel tells the children of a process."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def is_still(pid: int) -> bool:
    """Whether a process starts no other: each of its threads was stopped, or it has ended."""
    with suppress(OSError):
        states = (_read(f"{thread}/stat") for thread in Path(f"/proc/{pid}/task").iterdir())
        return all(state.rpartition(b") ")[2][:1] in _STILL for state in states)
    return not Path(f"/proc/{pid}/task").exists()


def usage_of(root: int, *, enough: int) -> Usage:
    """Look at a tree; no further than to `enough` tasks, so that a fork bomb does not hold the one who looks."""
    pids: list[int] = []
    tasks, pages = 0, 0
    waiting = [root]
    while waiting and tasks < enough:
        pid = waiting.pop()
        # Each may end while it is looked at.
        with suppress(OSError, ValueError):
            pages += int(_read(f"/proc/{pid}/statm").split()[1])
            pids.append(pid)
            for thread in os.scandir(f"/proc/{pid}/task"):
                tasks += 1
                waiting += map(int, _read(f"{thread.path}/children").split())
    return Usage(pids=pids, tasks=tasks, resident_bytes=pages * _PAGE_BYTES)


def memory_bytes(pids: Sequence[int]) -> int:
    """What these processes have in memory: shared pages once, and files in memory that none of them has mapped."""
    own, shared = 0, 0
    for pid in pids:
        with suppress(OSError):
            parts = proportions(_read(f"/proc/{pid}/smaps_rollup").decode())
            shared += parts.get("Pss_Shmem", 0)
            own += parts.get("Pss", 0) - parts.get("Pss_Shmem", 0)
    # A file that is mapped is in both.
    return own + max(shared, memory_file_bytes(pids))


def memory_file_bytes(pids: Sequence[int]) -> int:
    """What the files in memory have that these processes hold open, mapped or not."""
    files: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            _add_memory_files(pid, files)
    return sum(files.values())


def proportions(text: str) -> dict[str, int]:
    """The sizes of `smaps_rollup`, in bytes."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        size = rest.strip().removesuffix(" kB")
        if size.isdigit():
            found[name] = int(size) << 10
    return found


def _add_memory_files(pid: int, files: dict[tuple[int, int], int]) -> None:
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            if str(Path(entry.path).readlink()).startswith(_MEMORY_FILE):
                found = entry.stat()
                files[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK_BYTES


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        read = b""
        while more := os.read(file, _READ_BYTES):
            read += more
        return read
    finally:
        os.close(file)
