"""One TCP connection on its way: the addresses of a name, tried one after another."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.event_loop import Handle, Loop

    Address = tuple[socket.AddressFamily, tuple[object, ...]]

TURN_MIN = 1.0
"""Seconds for one address of several, at least: the first SYN may be lost, and is repeated after one."""


class Connecting:
    """An attempt to connect. It tells once how it ended, unless it is cancelled."""

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        seconds: float,
        tell: Callable[[socket.socket | Exception], object],
    ) -> None:
        """Begin.

        Args:
            loop: where all of this happens, but for the look-up of a name.
            host: a name, or an address.
            port: of the host.
            seconds: how long the caller will wait: the addresses of a name share it.
            tell: called with a connected socket, which its receiver owns, or with why there is none.
        """
        self._loop = loop
        self._tell = tell
        self._seconds = seconds
        self._share = 0.0
        self._addresses: list[Address] = []
        self._socket: socket.socket | None = None
        self._turn: Handle | None = None
        self._over = False
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (socket.gaierror, UnicodeError):
            self._ask_for_addresses(host, port)
        else:
            loop.call_soon(lambda: self._on_addresses(found))

    def _ask_for_addresses(self, host: str, port: int) -> None:
        # A daemon: a name server that does not answer must not keep the process from its end.
        look_up = threading.Thread(
            target=self._look_up, args=(host, port), name="dialback-dns", daemon=True
        )
        try:
            look_up.start()
        except RuntimeError as error:  # user code has as many as the system allows
            why = error
            self._loop.call_soon(lambda: self._on_addresses(why))

    def cancel(self) -> None:
        """Stop; nothing is told any more."""
        self._over = True
        self._drop()

    def abort(self) -> None:
        """Stop, and tell so, unless it was over: then close what nobody took."""
        if self._over:
            self._drop()
        else:
            self._finish(ConnectionAbortedError(errno.ECONNABORTED, "broken off"))

    def forsake(self) -> None:
        """Close this process's copy of the socket, and touch nothing else: a fork's parent goes on with it."""
        self._over = True
        if self._socket is not None:
            self._socket.close()

    # ------------------------------------------------------------ inside

    def _look_up(self, host: str, port: int) -> None:
        found: object
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who dials is told
            found = error
        self._loop.call_soon_threadsafe(lambda: self._on_addresses(found))

    def _on_addresses(self, found: object) -> None:
        if self._over:
            return
        if isinstance(found, Exception):
            self._finish(found)
            return
        assert isinstance(found, list)  # noqa: S101 - what getaddrinfo returns
        self._addresses = [(family, address) for family, *_, address in found]
        self._share = max(TURN_MIN, self._seconds / max(1, len(found)))
        self._next(OSError(errno.EADDRNOTAVAIL, "the name has no address"))

    def _next(self, why: Exception) -> None:
        self._drop()
        if not self._addresses:
            self._finish(why)
            return
        family, address = self._addresses.pop(0)
        try:
            made = self._socket = socket.socket(family, socket.SOCK_STREAM)
            made.settimeout(0)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = made.connect_ex(address)
        except OSError as error:
            self._next(error)
            return
        if answer not in (0, errno.EINPROGRESS):
            self._next(_error(answer))
            return
        self._loop.add_writer(made.fileno(), self._on_writable)
        if self._addresses:
            slow = TimeoutError(errno.ETIMEDOUT, "no answer in time")
            self._turn = self._loop.call_later(self._share, lambda: self._next(slow))

    def _on_writable(self) -> None:
        made = self._socket
        if made is None:
            return
        answer = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if answer:
            self._next(_error(answer))
            return
        self._over = True
        self._set_no_turn()
        self._loop.remove_writer(made.fileno())
        self._tell(made)
        self._socket = None  # only now: at each moment a fork has to find it with one of the two

    def _finish(self, error: Exception) -> None:
        self._over = True
        self._drop()
        self._tell(error)

    def _set_no_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _drop(self) -> None:
        self._set_no_turn()
        if self._socket is not None:
            if self._socket.fileno() >= 0:
                self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
