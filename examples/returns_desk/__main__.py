"""`make demo`: real work, a weak model and a hostile agent go through the door, and the evidence is checked.

Exit code 0: everything that was promised held.  1: something did not, and is named.  2: usage.  130, 143: stopped by a
signal, with nothing left running.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

from examples.returns_desk.screen import Screen
from leverframe import __version__

STATE: Final = Path(".leverframe/demo")
_USAGE: Final = 2
_SIGNALLED: Final = 128


def main() -> int:
    """Play the whole demo on standard output."""
    if sys.argv[1:]:
        print(f"The demo takes no words, got {sys.argv[1:]!r}.  Play it with: make demo", file=sys.stderr)
        return _USAGE
    screen = Screen.on(sys.stdout)
    screen.line(f"Leverframe {__version__}   one SQLite file, no network, no account.   State: {STATE}")
    stopped_by = [signal.SIGINT]
    try:
        # Imported here: the shop's data model takes a second, and the first line shall not wait for it.
        from examples.returns_desk.demo import play

        return asyncio.run(_until_signalled(play(screen, STATE), stopped_by))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.line(f"Stopped; nothing is left running.  What was done so far is in {STATE}")
        return _SIGNALLED + stopped_by[0]


async def _until_signalled(play: Coroutine[object, object, int], by: list[signal.Signals]) -> int:
    """Cancel on SIGTERM as asyncio does on SIGINT, so that all that was started is stopped in order."""
    task = asyncio.ensure_future(play)

    def stop() -> None:
        by[0] = signal.SIGTERM
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    return await task


if __name__ == "__main__":
    sys.exit(main())
