"""The gateway's end of the pipe: WebSockets of functions, read in the call that brings the bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import msgpack  # type: ignore[import-untyped]  # it ships no types
from typing_extensions import override
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from tests.benchmarks.floor.frames import DATA, END, HEAD

if TYPE_CHECKING:
    from websockets.http11 import Request

    from tests.benchmarks.floor.exchange import Exchange

ACKNOWLEDGED = Frame(Opcode.BINARY, msgpack.packb([END])).serialize(mask=False)

MASK = 4
SHORT, MEDIUM, LONG = 2 + MASK, 4 + MASK, 10 + MASK
"""Bytes of a header with a mask, by how its length is written (RFC 6455, section 5.2)."""


class Callback(asyncio.Protocol):
    """One WebSocket; after the upgrade every frame is a whole binary message.

    Args:
        exchanges: those that wait for their function, by token.
    """

    _transport: asyncio.Transport
    _exchange: Exchange

    def __init__(self, exchanges: dict[str, Exchange]) -> None:
        self._exchanges = exchanges
        self._upgrade: ServerProtocol | None = ServerProtocol()
        self._rest = b""
        self._drain: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self._upgrade is not None:
            self._shake_hands(self._upgrade, data)
            return
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        at, end = 0, len(data)
        while end - at >= SHORT:
            size, start = data[at + 1] & 0x7F, at + SHORT
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + MEDIUM
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + LONG
            if start + size > end:
                break
            at = start + size
            self._take(apply_mask(view[start:at], data[start - MASK : start]))
        self._rest = data[at:]
        if at:
            self._flush()

    def _shake_hands(self, upgrade: ServerProtocol, data: bytes) -> None:
        upgrade.receive_data(data)
        for request in upgrade.events_received():
            upgrade.send_response(upgrade.accept(cast("Request", request)))
            self._transport.writelines(upgrade.data_to_send())
            self._upgrade = None

    def _take(self, message: bytes) -> None:
        kind, *more = msgpack.unpackb(message)
        if kind == DATA:
            self._exchange.write(*more)
        elif kind == HEAD:
            token, status, headers = more
            self._exchange = self._exchanges.pop(token)
            self._exchange.begin(status, headers)
        else:
            self._exchange.end()

    def _flush(self) -> None:
        exchange = self._exchange
        exchange.flush()
        if exchange.state == "ended":
            self._transport.write(ACKNOWLEDGED)
            exchange.move("acknowledge")
        elif exchange.request.protocol.writing_paused and self._drain is None:
            self._transport.pause_reading()
            self._drain = asyncio.create_task(self._wait_for_room(exchange))

    async def _wait_for_room(self, exchange: Exchange) -> None:
        try:
            await exchange.request.writer.drain()
        finally:
            self._drain = None
            self._transport.resume_reading()
