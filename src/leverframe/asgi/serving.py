"""Serving a project: in this process, or in several below a parent that starts a dead one again.

Knows: that all workers accept from one socket, which the parent holds, so no connection is refused while one starts;
and that workers outlive no parent, or they would keep the port from the next one and serve what the project was.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import Final

from leverframe.asgi.options import Options
from leverframe.asgi.tls import tls_context
from leverframe.asgi.worker import listen, serve_on

_POLL_S: Final = 0.1
_STOP_S: Final = 40.0  # longer than a worker gives its streams
_QUICK_S: Final = 1.0  # a worker that lived no longer is started again after a pause
_PAUSE_S: Final = 1.0


def serve(options: Options) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UsageError: the address cannot be used, or the files of its TLS.
        LeverframeError: the project cannot be served.
    """
    # Or each worker would end at it, and be started again without end.
    tls_context(options)
    with listen(options) as sock:
        if options.workers == 1:
            return serve_on(options, sock)
        with tempfile.TemporaryDirectory(prefix="leverframe-") as folder:
            return _Parent(replace(options, metrics=folder, parent=os.getpid()), sock).run()


class _Parent:
    """Starts workers, starts a dead one again, hands signals on."""

    def __init__(self, options: Options, sock: socket.socket) -> None:
        self._options = options
        self._sock = sock
        self._fd = sock.fileno()
        self._workers: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._is_stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for slot in range(self._options.workers):
            self._start(slot)
        while not self._is_stopping:
            time.sleep(_POLL_S)
            for slot in [slot for slot, (worker, _) in self._workers.items() if worker.poll() is not None]:
                self._again(slot)
        return self._wait()

    def _start(self, slot: int) -> None:
        words = [sys.executable, "-m", "leverframe.asgi", *self._options.words(self._fd)]
        # The words are this interpreter, our own module and the options of this command.
        worker = subprocess.Popen(words, pass_fds=(self._fd,))  # noqa: S603
        self._workers[slot] = worker, time.monotonic()

    def _again(self, slot: int) -> None:
        worker, began = self._workers[slot]
        lived_s = time.monotonic() - began
        _say(f"worker {worker.pid} ended ({worker.returncode}) after {lived_s:.0f} s; again")
        if lived_s < _QUICK_S:
            time.sleep(_PAUSE_S)
        if self._is_stopping:
            return
        try:
            self._start(slot)
        except OSError as err:
            # No memory for it, say.  The others serve on, and the next look finds the dead one again.
            _say(f"no worker could be started ({err.strerror})")
            self._workers[slot] = worker, time.monotonic()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_stopping = True

    def _wait(self) -> int:
        # Or it would hold the port open, and whoever connects would wait for nobody.
        self._sock.close()
        for worker, _ in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        until = time.monotonic() + _STOP_S
        for worker, _ in self._workers.values():
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        return 0


def _say(words: str) -> None:
    """Tell whoever reads; who may be gone by now, or have a full disk, and every worker would go with the parent."""
    with suppress(OSError):
        sys.stderr.write(f"leverframe: {words}\n")
