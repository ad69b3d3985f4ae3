"""The parent of several workers, in a machine that refuses it one, and with workers that do not live."""

import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from leverframe.asgi import serving
from leverframe.asgi.options import Options

LIVED_S = 300.0


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


class _Clock:
    """Time that passes only where somebody sleeps, and what happens at some of its moments."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [one for one in self.at if one <= self.now]:
            self.at.pop(due)()


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


def test_a_worker_that_never_lives_is_started_again_more_and_more_seldom_and_never_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, starts = _Clock(), list[float]()

    def start(*_words: object, **_more: object) -> _Worker:
        starts.append(clock.now)
        if len(starts) == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return _Worker(None if len(starts) == 10 else 3)

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr(serving, "time", clock)
    with signals_as_they_were(), socket.create_server(("127.0.0.1", 0)) as sock:
        parent = serving._Parent(Options(directory=".", workers=1, fd=sock.fileno()), sock)
        clock.at[LIVED_S] = lambda: parent._workers[0].process.send_signal(signal.SIGKILL)

        parent.run()

    pauses = [round(after - before) for before, after in itertools.pairwise(starts)]
    assert pauses[:9] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    # The tenth lived, so its death is a first one again.
    assert (round(starts[10]), pauses[10]) == (LIVED_S, 1)
    said = capsys.readouterr().err
    assert said.count("serves in place of one that ended") == 1
    assert "again in 30 s" in said
