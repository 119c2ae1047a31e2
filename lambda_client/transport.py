"""A connected socket: bytes in, bytes out, and what the kernel does not take yet waits here."""

from __future__ import annotations

import logging
import socket
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambda_client.event_loop import Loop

logger = logging.getLogger("dialback")

READ_SIZE = 120 * 1024
"""Bytes read at once: nearly two full DATA frames. For buffers of 128 KiB and more glibc asks the kernel."""

PARTS_MAX = 64
"""Parts handed to the kernel in one call; it takes 1,024 (IOV_MAX)."""

LOW_WATER = 4
"""What waits has to fall to one in so many parts of the high water before its user may write again."""


class User(Protocol):
    """Who uses a connection."""

    def connection_made(self, transport: Transport) -> None:
        """It is open."""
        ...

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def eof_received(self) -> None:
        """The peer sends nothing more; the connection is closed after this."""
        ...

    def pause_writing(self) -> None:
        """More than the high water waits."""
        ...

    def resume_writing(self) -> None:
        """Little enough waits again. Called in the midst of writing: the connection must not be closed in it."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, because of `exc` or because somebody wanted so. Always called, once, and as the last."""
        ...


class Transport(Protocol):
    """What a user of a connection may do with it."""

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send bytes, now or as soon as the kernel takes them. Thrown away once it is closing."""
        ...

    def set_high_water(self, size: int) -> None:
        """Pause the user when more than `size` bytes wait; with 0, resume him when none does."""
        ...

    def waiting(self) -> int:
        """Return how many bytes the kernel has not taken."""
        ...

    def readable(self) -> bool:
        """Whether anything, even its end, waits to be read; True when it is closed. Callable on any thread."""
        ...

    def read(self) -> None:
        """Take what waits to be read."""
        ...

    def close(self) -> None:
        """Close once the kernel has everything. What comes unread meanwhile has it reset what it has not sent."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class TcpTransport:
    """A transport over a socket that is connected and does not block."""

    def __init__(self, loop: Loop, sock: socket.socket, user: User) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._user = user
        self._waits: deque[bytes | memoryview] = deque()
        self._size = 0
        self._high = 0
        self._paused = False
        self._closing = False
        self._ended = False  # a job that tells the user so was left

    def start(self) -> None:
        """Tell the user that the connection is there, and read from now on."""
        self._loop.add_reader(self._fd, self.read)
        self._user.connection_made(self)

    # ------------------------------------------------------------ writing

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send bytes; what the kernel does not take now waits."""
        if self._closing:
            return
        if self._waits:
            self._keep(parts)
        elif rest := self._send(parts if len(parts) <= PARTS_MAX else (b"".join(parts),)):
            self._keep(rest)

    def set_high_water(self, size: int) -> None:
        """See `Transport`."""
        self._high = size
        self._look_at_size()

    def waiting(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return self._size

    def _keep(self, parts: Sequence[bytes | memoryview]) -> None:
        if not self._waits:
            self._loop.add_writer(self._fd, self._on_writable)
        self._waits.extend(parts)
        self._size += sum(map(len, parts))
        self._look_at_size()

    def _send(self, parts: Sequence[bytes | memoryview]) -> Sequence[bytes | memoryview]:
        """Give the kernel what it takes; return the rest."""
        try:
            # What fits one part, as after a pause, takes the shorter way.
            sent = self._sock.send(parts[0]) if len(parts) == 1 else self._sock.sendmsg(parts)
        except (BlockingIOError, InterruptedError):
            return parts
        except (BrokenPipeError, ConnectionResetError):
            return ()  # what the peer said before it left, a goodbye say, is read yet, and behind it its end
        except OSError as error:
            self._fail(error)
            return ()
        for number, part in enumerate(parts):
            if sent < len(part):
                return (memoryview(part)[sent:], *parts[number + 1 :])
            sent -= len(part)
        return ()

    def _on_writable(self) -> None:
        first = tuple(islice(self._waits, PARTS_MAX))
        rest = self._send(first)
        if self._ended:
            return  # it has failed
        for _ in first:
            self._waits.popleft()
        self._waits.extendleft(reversed(rest))
        self._size += sum(map(len, rest)) - sum(map(len, first))
        if not self._waits:
            self._loop.remove_writer(self._fd)
            if self._closing:
                self._lose(None)
                return
        self._look_at_size()

    def _look_at_size(self) -> None:
        if not self._paused and self._size > self._high:
            self._paused = True
            self._user.pause_writing()
        elif self._paused and self._size <= self._high // LOW_WATER:
            self._paused = False
            self._user.resume_writing()

    # ------------------------------------------------------------ reading

    def readable(self) -> bool:
        """See `Transport`."""
        if self._closing:
            return True
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:  # it has failed, or has been closed just now
            return True
        return True

    def read(self) -> None:
        """Read what is there now."""
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        try:
            if data:
                self._user.data_received(data)
            else:
                self._user.eof_received()
                self.close()
        except (RecursionError, MemoryError):  # where user code is deep, nothing is wrong here
            raise
        except Exception as error:
            logger.exception("a bug of dialback's, please report it; the connection is closed")
            self._fail(error)

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Close once everything is sent; nothing is read any more."""
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        if not self._waits:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self._fail(None)

    def forsake(self) -> None:
        """Close this process's copy of the socket, and touch nothing else: a fork's parent goes on with it."""
        self._closing = self._ended = True
        self._waits.clear()
        self._sock.close()

    def _fail(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        if self._waits:
            self._loop.remove_writer(self._fd)
            self._waits.clear()
            self._size = 0
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        # Not now: whoever closes a connection is not done with it.
        self._loop.call_soon(lambda: self._lost(error))
        self._ended = True

    def _lost(self, error: Exception | None) -> None:
        try:
            self._user.connection_lost(error)
        finally:
            self._sock.close()
