"""The process that holds the keys of logs for a door that runs as another user.

Knows: a Unix socket, whose callers the kernel names (SO_PEERCRED), and frames of bounded size.  Never: signs by itself
what `signer_state` refuses, answers a user that it was not told of, or opens a network socket.
"""

import asyncio
import os
import signal
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from leverframe.domain.errors import KeyUnsafe, SignerUnavailable, StoreUnavailable, UsageError
from leverframe.signing.signer_state import SignerState
from leverframe.signing.signer_wire import LENGTH_BYTES, Answer, body_bytes, decode_request, frame

MAX_CALLERS = 64
_IDLE_S = 600.0
_REQUEST_S = 5.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def peer_uid(connection: socket.socket) -> int:
    """The user of the process at the other end of a Unix socket, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


class SignerProcess:
    """Answers the callers of one socket until it is stopped.

    Args:
        path: where the socket is made; its folder may be written by this user and root alone.
        folder: the state folder, this user's alone.
        allowed: the users who may ask.
    """

    def __init__(self, path: Path, folder: Path, allowed: frozenset[int]) -> None:
        if not hasattr(socket, "SO_PEERCRED"):
            raise UsageError("This system does not say who calls on a Unix socket; the signer needs Linux.")
        self._state = SignerState(folder)
        self._path = path
        self._allowed = allowed
        self._callers = 0

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Answer until SIGTERM or SIGINT; `ready` is called once when callers can connect.

        Raises:
            SignerUnavailable: another signer answers at this socket, or it cannot be made there.
            KeyUnsafe: others may replace the socket.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, stop.set)
        server = await asyncio.start_unix_server(self._caller, sock=_listening(self._path))
        try:
            ready()
            await stop.wait()
        finally:
            server.close()
            self._state.close()
            with suppress(OSError):
                self._path.unlink()

    async def _caller(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers += 1
        try:
            await self._converse(reader, writer)
        except (ValueError, OSError, EOFError, TimeoutError, RecursionError, msgspec.DecodeError):
            # A caller that breaks the protocol, or went away, is hung up on: it is owed no explanation.
            pass
        finally:
            self._callers -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in self._allowed:
            message = f"The signer does not answer the user {uid}."
            writer.write(frame(Answer(problem="refused", message=message)))
            await writer.drain()
            return
        while self._callers <= MAX_CALLERS:
            async with asyncio.timeout(_IDLE_S):
                length = await reader.readexactly(LENGTH_BYTES)
            async with asyncio.timeout(_REQUEST_S):
                request = decode_request(await reader.readexactly(body_bytes(length)))
                writer.write(frame(self._answer(request)))
                await writer.drain()

    def _answer(self, request: object) -> Answer:
        try:
            # The decoder gives nothing but requests.
            return self._state.answer(request)  # type: ignore[arg-type]
        except KeyUnsafe as err:
            return Answer(problem=err.slug, message=err.message)
        except StoreUnavailable as err:
            return Answer(problem="unavailable", message=err.message)
        except OSError as err:
            return Answer(problem="unavailable", message=f"The signer cannot keep what it signs: {err.strerror}.")


def _listening(path: Path) -> socket.socket:
    """A socket that callers can connect to; what a signer that was killed left behind is replaced."""
    _check_place(path.parent)
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()
            else:
                raise SignerUnavailable(
                    f"Another signer answers at {str(path)!r} already.", next_move="Stop it, or name another --socket."
                )
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        # Anyone may knock: the kernel says who it is.
        path.chmod(0o666)
        listening.setblocking(False)
    except OSError as err:
        listening.close()
        raise SignerUnavailable(
            f"The socket {str(path)!r} cannot be made ({err.strerror or err}).",
            next_move="Name one in a folder of this user, with a path of at most 100 bytes.",
        ) from err
    return listening


def _check_place(folder: Path) -> None:
    """Whoever may write in the folder could put a socket of their own in the place of ours."""
    try:
        status = folder.stat()
    except OSError as err:
        raise SignerUnavailable(
            f"There is no folder {str(folder)!r} for the socket.", next_move=f"mkdir {folder}"
        ) from err
    is_sticky = bool(status.st_mode & stat.S_ISVTX)
    if status.st_uid not in (os.geteuid(), 0) or (status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky):
        raise KeyUnsafe(
            f"Others may replace what is in {str(folder)!r}, where the socket would be.",
            next_move=f"Give it to this user alone: chmod 755 {folder}",
        )
