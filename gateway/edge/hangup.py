"""Notices clients that leave while nobody reads from them.

A request body that is not wanted yet is left in the kernel: that is what slows its client down. But a
transport that does not read does not see the end of the connection either, and the function would
run on for nobody. The kernel knows (EPOLLRDHUP); it is asked through a second descriptor of the
socket, in an epoll of our own, since event loops offer no such event.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class HangupWatch:
    """Aborts the transports of clients that hung up; one for the edge. Idle except on Linux."""

    def __init__(self) -> None:
        self._transports: dict[int, asyncio.Transport] = {}
        if sys.platform == "linux":
            self._epoll = select.epoll()
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._epoll.fileno(), self._told)

    @contextmanager
    def watching(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """Within the block, the end of this transport's peer is noticed whether or not it reads."""
        raw = None if transport is None else transport.get_extra_info("socket")
        if sys.platform != "linux" or transport is None or raw is None or raw.fileno() < 0:
            yield
            return
        # While this copy is open, closing the transport closes nothing. Once the peer has gone it goes as
        # well: the block may last, as it does while a function goes on without its client.
        try:
            descriptor = self._watch(raw.fileno())
        except (
            OSError
        ):  # nothing is left to watch it with: its end is noticed when it is written to
            yield
            return
        self._transports[descriptor] = transport
        try:
            yield
        finally:
            if self._transports.get(descriptor) is transport:
                self._forget(descriptor)

    def _watch(self, descriptor: int) -> int:
        copy = os.dup(descriptor)
        try:
            self._epoll.register(copy, select.EPOLLRDHUP | select.EPOLLONESHOT)
        except OSError:
            os.close(copy)
            raise
        return copy

    def _forget(self, descriptor: int) -> asyncio.Transport:
        self._epoll.unregister(descriptor)
        os.close(descriptor)
        return self._transports.pop(descriptor)

    def close(self) -> None:
        """Stop watching."""
        if sys.platform == "linux" and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _told(self) -> None:
        if sys.platform == "linux":
            for descriptor, _ in self._epoll.poll(0):
                transport = self._forget(descriptor)
                if not transport.is_closing():  # asyncio's does not stand it once it has closed
                    transport.abort()
