"""kill -9 between "sent" and "answered": a second process sends the hostile agent's return and dies of it.

Knows: how to start that process, and how to tell that it died by SIGKILL and left nothing running.
`python -m examples.returns_desk.crashing HOME RUN_ID JOURNAL` is that process; LEVERFRAME_CRASH_AT says where it dies.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from examples.returns_desk import hostile
from examples.returns_desk.children import python
from examples.returns_desk.desk import as_sent, start_shop
from examples.returns_desk.promises import NotShown
from examples.returns_desk.stage import Stage
from leverframe.domain.ids import RunId
from leverframe.wiring.assembly import open_assembly

_MODULE: Final = "examples.returns_desk.crashing"
# The first answer is that of the fact `order`, which the door reads before it decides; the second that of the write.
_CRASH_AT: Final = "after_answer:2"
_HOME: Final = "second"
_SHOP_ENDS_WITHIN_S: Final = 5.0
_POLL_S: Final = 0.02


async def crash_in_the_middle(root: Path, run_id: RunId, journal: Path) -> None:
    """Let another process take the run, send the return and die before it can record the answer.

    Raises:
        NotShown: it ended in another way, and so nothing was shown.
    """
    where = {"LEVERFRAME_CRASH_AT": _CRASH_AT}
    async with python("-m", _MODULE, str(root), run_id, str(journal), variables=where) as process:
        said, complained = await process.communicate()
    if process.returncode != -signal.SIGKILL:
        complaint = complained.decode(errors="replace").strip()[-500:]
        raise NotShown(f"The second process was to die by SIGKILL and ended with {process.returncode}: {complaint}")
    left = json.loads(said)
    await _gone(left["shop_pid"])
    for folder in left["folders"]:
        shutil.rmtree(folder, ignore_errors=True)


async def _gone(shop_pid: int) -> None:
    """Wait until the dead process's shop has seen its input close; one that lingers is ended."""
    deadline = time.monotonic() + _SHOP_ENDS_WITHIN_S
    while _is_alive(shop_pid):
        if time.monotonic() > deadline:
            os.kill(shop_pid, signal.SIGKILL)
            return
        await asyncio.sleep(_POLL_S)


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def send_and_die(root: Path, run_id: RunId, journal: Path) -> None:
    """Do the killed process's part.  Does not return where LEVERFRAME_CRASH_AT names the place."""
    # Not the first process's copy of the project: two processes never share a shop.
    stage = Stage.second(root, _HOME)
    async with open_assembly(stage.project, create=False) as assembly:
        await start_shop(assembly)
        stage.bench.open(journal)
        # Said before the end, so that somebody can clear away what a killed process leaves.
        left = {"shop_pid": stage.bench.pid(), "folders": [str(stage.root), str(stage.sockets)]}
        print(json.dumps(left), flush=True)
        with assembly.services.claims.claim(run_id):
            run = await assembly.runner.reopen_outside(run_id)
            await run.call_tool(hostile.KILLED_RETURN.tool, as_sent(hostile.KILLED_RETURN.arguments))
    stage.close()


if __name__ == "__main__":
    asyncio.run(send_and_die(Path(sys.argv[1]), RunId(sys.argv[2]), Path(sys.argv[3])))
