"""User code as a simulation plays it: a coroutine on a session of the real library."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from lambda_client.errors import StreamClosed
from lambda_client.loop import Io
from lambda_client.session import Session

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from lambda_client.event_loop import Handle
    from lambda_client.invocation import Invocation
    from tests.simulation.loop import VirtualLoop
    from tests.simulation.network import Network
    from tests.simulation.scenario import Deed
    from tests.simulation.wire import Address


class HandlerError(Exception):
    """What user code raises on purpose."""


class VirtualIo(Io):
    """The library's I/O, on a virtual loop and simulated sockets."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        """Make one; `chance` decides whether a thread in a hurry finds the turn free."""
        super().__init__(loop, loop.time, loop.time)
        self._loop = loop
        self._chance = chance

    @override
    def hurry(self) -> None:
        if self._chance.random() < 0.5:
            self._loop.take_turn()

    @override
    def connect(
        self, host: str, port: int, seconds: float, tell: Callable[[Any], object]
    ) -> Handle:
        assert self._loop.network is not None
        connecting = self._connect(self._loop.network, (host, port), tell)
        return cast("Handle", self._loop.create_task(connecting))

    async def _connect(
        self, network: Network, address: Address, tell: Callable[[Any], object]
    ) -> None:
        try:
            found: Any = await network.open(self._loop, address)
        except OSError as error:
            found = error
        tell(found)


@dataclass
class Ran:
    """What one run of user code came to.

    Attributes:
        begun_at: when user code was reached, in its loop's time.
        offered: response bytes given to `write`, taken or not.
        returned: user code came to its end: what it wrote is the whole response.
        finished: how often its `finally` ran.
        upload: request bytes that it read.
        upload_ended: it was told that these are all.
        told_to_stop: when it heard that nobody wants the response, in its loop's time.
        done_at: when user code was done, in its loop's time.
        killed_after: how long after that the invocation ran into its timeout, if it did.
        result: what the invocation returned.
    """

    begun_at: float = 0.0
    offered: int = 0
    returned: bool = False
    finished: int = 0
    upload: bytearray = field(default_factory=bytearray)
    upload_ended: bool = False
    told_to_stop: float | None = None
    done_at: float | None = None
    killed_after: float | None = None
    result: Any = None


class Run:
    """One run of user code.

    Args:
        invocation: what it is called with.
        deed: what it does.
        ran: where it tells what it did.
        io: the environment's sockets.
        note: writes a line of the trace.
    """

    def __init__(
        self, invocation: Invocation, deed: Deed, ran: Ran, io: Io, note: Callable[[str], None]
    ) -> None:
        self._invocation = invocation
        self._deed = deed
        self._ran = ran
        self._io = io
        self._note = note

    async def handle(self) -> Any:
        """Do what the decorators of `lambda_client.handlers` do; return what the handler returns.

        Raises:
            Exception: the invocation fails.
        """
        deed, ran, envelope = self._deed, self._ran, self._invocation.envelope
        ran.begun_at = asyncio.get_running_loop().time()
        if deed.kind == "raise" or envelope is None:
            ran.finished += 1
            raise HandlerError
        if deed.kind == "answer":
            ran.offered, ran.returned, ran.finished = len(deed.body), True, 1
            return _answer(deed)
        session = Session(self._invocation, envelope, io=self._io)
        try:
            await self._run_user(session)
        except (Exception, asyncio.CancelledError) as error:
            self._note(f"user code ended with {error!r}")
            if not session.explains(error):
                session.begin_fail(error)
                await _settled(session)
                raise
        session.begin_finish()
        await _settled(session)
        return session.conclude()

    async def _run_user(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        user = loop.create_task(self._user(session))

        def stop() -> None:
            loop.call_soon_threadsafe(user.cancel)

        session.watch(stop)
        try:
            await asyncio.wait((user,))
            user.result()
        finally:
            session.watch(None)

    async def _user(self, session: Session) -> None:
        ran = self._ran
        try:
            await self._respond(session)
            ran.returned = True
            self._note(f"user code returned after {ran.offered} bytes")
        except (asyncio.CancelledError, StreamClosed):
            ran.told_to_stop = asyncio.get_running_loop().time()
            if self._deed.ignores_cancel:
                await asyncio.sleep(self._deed.ignores_cancel)
            raise
        finally:
            ran.finished += 1
            ran.done_at = asyncio.get_running_loop().time()

    async def _respond(self, session: Session) -> None:
        deed, ran = self._deed, self._ran
        streamed = session.envelope.body == "stream"
        if streamed and deed.upload != "never":
            await self._read(session)
        if deed.opens:
            session.open()
        headers = [(b"content-type", b"text/event-stream" if deed.events else b"text/plain")]
        if deed.sized and deed.status != 204:
            headers.append((b"content-length", b"%d" % len(deed.body)))
        session.start(deed.status, tuple(headers))
        for number, (size, pause) in enumerate((*deed.chunks, (0, 0.0))):
            if number == deed.fails_before:
                raise HandlerError
            if number == deed.stops_before:
                return
            if pause:
                await asyncio.sleep(pause)
            piece = deed.body[ran.offered : ran.offered + size]
            ran.offered += size
            await session.write_async(piece)

    async def _read(self, session: Session) -> None:
        """Read the request body, or the first half of what a simulation sends at most."""
        ran = self._ran
        while chunk := await session.upload.read_async():
            ran.upload += chunk
            if self._deed.upload == "half" and len(ran.upload) > 1000:
                return
        ran.upload_ended = True


async def _settled(session: Session) -> None:
    while not session.settled:
        await session.waiters.suspend(lambda: session.settled)


def _answer(deed: Deed) -> dict[str, Any]:
    return {
        "statusCode": deed.status,
        "headers": {"content-type": "text/plain"},
        "body": base64.b64encode(deed.body).decode(),
        "isBase64Encoded": True,
    }


def as_payload(value: Any) -> bytes:
    """Return what the runtime makes of a handler's return value."""
    return json.dumps(value).encode()
