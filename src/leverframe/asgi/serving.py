"""Serving a project: in this process, or in several below a parent that starts a dead one again.

Knows: that all workers accept from one socket, which the parent holds, so no connection is refused while one starts;
that they serve the project as it was read once, or one that is started after an edit would serve another than the rest;
and that workers outlive no parent, or they would keep the port from the next one and serve what the project was.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from leverframe.asgi.handed_files import hand_down
from leverframe.asgi.options import Options
from leverframe.asgi.tls import tls_context
from leverframe.asgi.worker import listen, serve_on
from leverframe.config.project import keep_project

_POLL_S: Final = 0.1
_STOP_S: Final = 40.0  # longer than a worker gives its streams
_SETTLED_S: Final = 10.0  # a worker that lived so long serves, and the next death is a first one
_PAUSE_S: Final = 1.0  # after a second death in a row; then twice as long each time
_MOST_PAUSE_S: Final = 30.0
_MOST_DOUBLINGS: Final = 5


def serve(options: Options, *, tell: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP.  `tell` is called once connections are taken at the address.

    Raises:
        UsageError: the address cannot be used, or the files of its TLS.
        LeverframeError: the project cannot be served.
    """
    _raise_limit_of_files()
    # Or each worker would end at it, and be started again without end.
    tls_context(options)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` leaves it
        # A terminal that is closed is no reason to break off what is under way.
        signal.signal(signal.SIGHUP, _stop_in_order)
    with listen(options) as sock:
        tell()
        if options.workers == 1:
            return serve_on(options, sock)
        with (
            hand_down(keep_project(Path(options.directory))) as files,
            tempfile.TemporaryDirectory(prefix="leverframe-") as folder,
        ):
            return _Parent(replace(options, files=files, metrics=folder, parent=os.getpid()), sock).run()


def _raise_limit_of_files() -> None:
    """Let this process, and so its workers, open as many files as it may; a stream takes two.

    The lower limit is for programs that wait with select(2), which none of ours does; a tool's server has its own.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Refused where the kernel itself allows fewer.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop_in_order(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class _Worker:
    """One of them, or what is left of it until the next one has its place."""

    process: subprocess.Popen[bytes]
    began: float
    deaths: int = 0  # in a row
    due: float | None = None  # when the next one is started; None: nobody has seen this one end


class _Parent:
    """Starts workers, starts a dead one again, hands signals on."""

    def __init__(self, options: Options, sock: socket.socket) -> None:
        self._options = options
        self._sock = sock
        self._fd = sock.fileno()
        self._workers: list[_Worker] = []
        self._is_stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._options.workers):
            self._workers.append(_Worker(self._started(), time.monotonic()))
        while not self._is_stopping:
            time.sleep(_POLL_S)
            for worker in self._workers:
                self._look(worker)
        return self._wait()

    def _started(self) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "leverframe.asgi", *self._options.words(self._fd)]
        # The words are this interpreter, our own module and the options of this command.
        return subprocess.Popen(words, pass_fds=(self._fd, self._options.files))  # noqa: S603

    def _look(self, worker: _Worker) -> None:
        now, process = time.monotonic(), worker.process
        if process.poll() is None:
            if worker.deaths and now - worker.began >= _SETTLED_S:
                _say(f"worker {process.pid} serves in place of one that ended")
                worker.deaths = 0
        elif worker.due is None:
            pause_s = _pause_before_next(worker)
            then = f"again in {pause_s:.0f} s" if pause_s else "again"
            _say(f"worker {process.pid} ended ({process.returncode}) after {now - worker.began:.0f} s; {then}")
        elif now >= worker.due and not self._is_stopping:
            self._again(worker)

    def _again(self, worker: _Worker) -> None:
        try:
            worker.process = self._started()
        except OSError as err:
            # No memory for it, say.  The others serve on.
            _say(f"no worker could be started ({err.strerror}); again in {_pause_before_next(worker):.0f} s")
        else:
            worker.began, worker.due = time.monotonic(), None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_stopping = True

    def _wait(self) -> int:
        # Or it would hold the port open, and whoever connects would wait for nobody.
        self._sock.close()
        processes = [worker.process for worker in self._workers]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return 0


def _pause_before_next(worker: _Worker) -> float:
    """Count a death, or a start that failed; none after a first one, and longer after each in a row."""
    doublings = min(worker.deaths - 1, _MOST_DOUBLINGS)
    pause_s = min(_PAUSE_S * 2**doublings, _MOST_PAUSE_S) if worker.deaths else 0.0
    worker.deaths += 1
    worker.due = time.monotonic() + pause_s
    return pause_s


def _say(words: str) -> None:
    """Tell whoever reads; who may be gone by now, or have a full disk, and every worker would go with the parent."""
    with suppress(OSError):
        sys.stderr.write(f"leverframe: {words}\n")
