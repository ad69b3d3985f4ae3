"""Something that is found out once for all who ask for it meanwhile.

Knows: that whoever goes away while it waits takes nothing from the others; and that a burst of calls waits for one
thing, so that to wait has to cost little: a future each, where `asyncio.shield` makes two and their callbacks.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """One finding out, under way from the start."""

    __slots__ = ("_task", "_turns")

    # Any: what a coroutine yields to its loop, and is sent by it, is the loop's own.
    def __init__(self, finding: Coroutine[Any, Any, T]) -> None:
        self._turns: list[asyncio.Future[T]] = []
        self._task = asyncio.get_running_loop().create_task(finding)
        self._task.add_done_callback(self._tell)

    def wait(self) -> "asyncio.Future[T]":
        """What is found, or why it was not; to be awaited by one, before it is over."""
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        return turn

    def _tell(self, task: "asyncio.Task[T]") -> None:
        waiting = [turn for turn in self._turns if not turn.done()]
        error = None if task.cancelled() else task.exception()
        for turn in waiting:
            if task.cancelled():
                turn.cancel()
            elif error is not None:
                turn.set_exception(error)
            else:
                turn.set_result(task.result())
