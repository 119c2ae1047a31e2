"""An ASGI application that tells when it sent, and when that left the process."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

from lambda_client import asgi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]

left: list[int] = []
"""When the kernel took bytes from this process, in nanoseconds of CLOCK_MONOTONIC."""


def _noting(send: Callable[[socket.socket, Any], int]) -> Callable[[socket.socket, Any], int]:
    def noting(self: socket.socket, data: Any, /) -> int:
        size = send(self, data)
        if self.family is socket.AF_INET:  # asyncio wakes its loop by a socket of its own
            left.append(time.monotonic_ns())
        return size

    return noting


for _name in ("send", "sendmsg"):  # the only ways out
    setattr(socket.socket, _name, _noting(getattr(socket.socket, _name)))


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.002)  # the ATTACH of a parked connection leaves before, and is not meant
    left.clear()
    sent = time.monotonic_ns()
    await send({"type": "http.response.body", "body": b"first;", "more_body": True})
    async with asyncio.timeout(5):
        # After a pause it has left already; in a flood another thread would send it.
        while not left:
            await asyncio.sleep(0 if scope["path"] == "/busy" else 0.005)
    await send({"type": "http.response.body", "body": b"%d;%d" % (sent, left[0])})


handler = asgi(app)
