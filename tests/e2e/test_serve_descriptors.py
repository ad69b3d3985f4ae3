"""`serve` opens as many files as the machine lets it: the lower limit of a shell is a few hundred streams."""

import resource
from pathlib import Path

import pytest

from tests.served import served_desk

LOWER = 256


@pytest.mark.parametrize("workers", [1, 2])
def test_every_process_of_serve_may_open_as_many_files_as_the_machine_allows(tmp_path: Path, workers: int) -> None:
    lower, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOWER, most))
    try:
        with served_desk(tmp_path, words=("--workers", str(workers))) as desk:
            assert desk.process is not None
            found = [desk.process.pid, *(desk.workers() if workers > 1 else ())]
            limits = {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in found}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lower, most))

    assert limits == {(most, most)}
