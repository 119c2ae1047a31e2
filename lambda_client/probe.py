"""Looks for the gateway, step by step, from where the function runs: nobody else can.

Asked for by ``dialback doctor``; user code does not run. Everything here is slow on purpose: each step
by itself, so that the one that fails is the one that is named.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidStatus
from websockets.uri import parse_uri

from lambda_client.connection import Connection
from lambda_client.trust import client_context
from protocol.errors import RejectCode
from protocol.frames import Attach, Reject
from protocol.limits import ATTACH_PATH, Limits
from protocol.probe import Step, UrlReport, report_to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from protocol.envelope import Envelope
    from protocol.frames import StreamFrame

STEP_SECONDS = 5.0
"""For each step; a real dial has as long for all of them (protocol SPEC, timers)."""


def answer_probe(envelope: Envelope) -> dict[str, object]:
    """Probe every callback URL; return what the function returns."""

    async def probe_all() -> list[UrlReport]:
        return [await _Probe(envelope, url).run() for url in envelope.urls]

    return report_to_json(envelope, asyncio.run(probe_all()))


class _Failed(Exception):
    """A step failed; the text says why."""


class _Probe:
    """The way to one URL. Also the owner of the connection, as `lambda_client.connection.Owner`."""

    def __init__(self, envelope: Envelope, url: str) -> None:
        self._envelope = envelope
        self._url = url
        self._uri = parse_uri(url.rstrip("/") + ATTACH_PATH)
        self._steps: list[Step] = []
        self._connection: Connection | None = None
        self._sid = 0
        self._answer: asyncio.Future[Reject | str]

    async def run(self) -> UrlReport:
        """Go as far as possible."""
        try:
            await self._step("dns", self._resolve())
            await self._step("tcp", self._connect())
            if self._uri.secure:
                await self._step("tls", self._shake_hands())
            await self._step("upgrade", self._upgrade())
            await self._step("attach", self._attach())
            if self._envelope.probe_ms:
                await self._step("idle", self._idle(self._envelope.probe_ms / 1000))
        except _Failed:
            pass
        finally:
            if self._connection is not None:
                self._connection.abort()
        return UrlReport(self._url, tuple(self._steps))

    async def _step(self, name: str, work: Awaitable[str]) -> None:
        begun = time.monotonic()
        try:
            detail = await work
        except Exception as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            self._note(name, begun, why or type(error).__name__, ok=False)
            raise _Failed from error
        self._note(name, begun, detail, ok=True)

    def _note(self, name: str, begun: float, detail: str, *, ok: bool) -> None:
        self._steps.append(Step(name, ok, round((time.monotonic() - begun) * 1000), detail))

    # ------------------------------------------------------------ the steps

    async def _resolve(self) -> str:
        async with asyncio.timeout(STEP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                self._uri.host, self._uri.port, type=socket.SOCK_STREAM
            )
        addresses = sorted({str(entry[4][0]) for entry in found})
        return f"{self._uri.host} is {', '.join(addresses)}"

    async def _connect(self) -> str:
        async with asyncio.timeout(STEP_SECONDS):
            _, writer = await asyncio.open_connection(self._uri.host, self._uri.port)
        address, port = writer.get_extra_info("peername")[:2]
        writer.transport.abort()
        return f"connected to {address} port {port}"

    async def _shake_hands(self) -> str:
        async with asyncio.timeout(STEP_SECONDS):
            _, writer = await asyncio.open_connection(
                self._uri.host, self._uri.port, ssl=client_context()
            )
        secure = writer.get_extra_info("ssl_object")
        writer.transport.abort()
        return f"{secure.version()}, the certificate is good"

    async def _upgrade(self) -> str:
        limits = Limits(max_frame=self._envelope.max_frame)
        connection = Connection(self._url, self._uri, self._envelope.token, limits)
        self._connection = connection
        tls = client_context() if self._uri.secure else None
        async with asyncio.timeout(STEP_SECONDS):
            await asyncio.get_running_loop().create_connection(
                lambda: connection, self._uri.host, self._uri.port, ssl=tls
            )
            try:
                await connection.opened
            except InvalidStatus as error:
                answer = error.response
                text = bytes(answer.body or b"")[:200].decode(errors="replace")
                raise ConnectionError(f"HTTP {answer.status_code}: {text}") from error
        connection.owner = self
        return "the gateway took the token"

    async def _attach(self) -> str:
        connection = self._connection
        if connection is None or connection.closed:
            raise ConnectionError("the connection was closed")
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._sid += 1
        connection.state.open_stream(self._sid, loop.time())
        connection.send([self._attach_frame()])
        async with asyncio.timeout(STEP_SECONDS):
            answer = await self._answer
        if not isinstance(answer, Reject):
            raise ConnectionError(answer)
        if answer.code != RejectCode.UNKNOWN:
            raise ConnectionError(f"the gateway answered {answer}")
        return "the gateway answers"

    async def _idle(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        await self._attach()
        return f"still open after {seconds:g} s of silence"

    def _attach_frame(self) -> Attach:
        envelope = self._envelope
        return Attach(
            self._sid,
            envelope.xid_bytes,
            envelope.inv,
            self._sid,
            envelope.token,
            os.urandom(16),
            lo=0,
            hi=0,
            flags=0,
            req_recv=0,
            req_max=0,
        )

    # ------------------------------------------------------------ what the connection reports

    def received(self, frame: StreamFrame) -> None:
        """The answer to ATTACH."""
        if isinstance(frame, Reject) and not self._answer.done():
            self._answer.set_result(frame)

    def flush(self) -> None:
        """Nothing waits."""

    def lost(self, reason: str, code: int | None) -> None:
        """The connection is gone."""
        if not self._answer.done():
            self._answer.set_result(f"closed by the other side ({code}): {reason}")
