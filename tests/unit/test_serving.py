"""The parent of several workers, in a machine that refuses it one."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leverframe.asgi import serving
from leverframe.asgi.options import Options


class _Worker:
    """A process, as far as its parent looks at it."""

    pid = 1

    def __init__(self, returncode: int | None) -> None:
        self.returncode = returncode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.returncode = -number

    def wait(self, seconds: float | None = None) -> int | None:
        del seconds
        return self.returncode


@contextmanager
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, heard in before.items():
            signal.signal(number, heard)


def test_a_worker_that_cannot_be_started_again_just_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starts: list[str] = []

    def start(*_words: object, **_more: object) -> _Worker:
        starts.append("a start")
        match len(starts):
            case 1:
                return _Worker(-9)
            case 2:
                raise OSError(12, "Cannot allocate memory")
            case _:
                os.kill(os.getpid(), signal.SIGTERM)
                return _Worker(None)

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr(serving, "_PAUSE_S", 0.0)
    with signals_as_they_were(), socket.create_server(("127.0.0.1", 0)) as sock:
        options = Options(directory=".", workers=1, fd=sock.fileno())

        code = serving._Parent(options, sock).run()

    assert (code, len(starts)) == (0, 3)
    assert "no worker could be started (Cannot allocate memory)" in capsys.readouterr().err
