"""`python -m leverframe.asgi`: one worker, on a socket that its parent holds."""

import signal
import socket
import sys

from leverframe.asgi.options import read_options
from leverframe.asgi.worker import serve_on
from leverframe.domain.errors import EXIT_UNAVAILABLE, LeverframeError


def main() -> int:
    """Serve on the socket that was handed down."""
    options = read_options(sys.argv[1:])
    # Control-C at a terminal, and its end, reach the whole group; the parent alone says stop.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with socket.socket(fileno=options.fd) as sock:
            # What a tool starts is not to have it: it would keep the port once we are gone.
            sock.set_inheritable(False)
            return serve_on(options, sock)
    except LeverframeError as err:
        sys.stderr.write(f"{err}\n")
        return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
