"""How the demo starts a Python process of its own, and makes sure that none outlives it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

_REPOSITORY: Final = Path(__file__).parents[2]
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@asynccontextmanager
async def python(*arguments: str, variables: Mapping[str, str] = _NOTHING) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process with pipes for what it says and complains; killed where it still runs at the end."""
    path = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, **variables},
        # A group of its own: Ctrl-C in a terminal is for us, who then end it.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # Also reads what is left in the pipes, so that their transports close.
        await process.communicate()
