"""A whole gateway without sockets, for tests of thousands of short exchanges.

Everything is the real thing but the two wires: what the edge writes is collected, and the function is
frames made by hand, so that it can do what `lambda_client` never would. Time is moved on by the test.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from typing import TYPE_CHECKING, Any
from zlib import crc32

from typing_extensions import override

from gateway.edge.handler import EdgeHandler
from gateway.edge.server import EdgeServer
from gateway.exchange.driver import Driver
from gateway.exchange.invocation import CallbackOffer
from gateway.invoke.base import Invocation, Invoker, InvokeResult
from gateway.journal.store import Buried, JournalStore
from gateway.routes import RouteTable
from gateway.telemetry import Telemetry
from gateway.tokens import Tokens
from protocol.envelope import Envelope
from protocol.errors import ProtocolError
from protocol.frames import Attach, Attached, AttachFlag, Data, End, Head, Reset
from protocol.limits import INITIAL_WINDOW, Limits
from tests.gateway.exchange.peer import route_of_test
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from gateway.exchange.exchange import Exchange
    from gateway.journal.memory import MemoryJournal
    from gateway.timing import Timing
    from protocol.frames import StreamFrame

HEAD_PAIRS = ((b"content-type", b"text/plain"),)
BODY, TAIL = b"hello", b" and the tail"


class Wire(asyncio.Transport):
    """The client's end: keeps what the edge writes, and how it ended.

    Attributes:
        received: every byte.
        over: the edge closed, or the client left.
    """

    def __init__(self, protocol: web.RequestHandler) -> None:
        super().__init__()
        self.received = bytearray()
        self.over = False
        self._protocol = protocol
        protocol.connection_made(self)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")

    @override
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self.over:
            self.received += data

    @override
    def close(self) -> None:
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close
    """For the edge; for the client it is how to leave."""

    @override
    def is_closing(self) -> bool:
        return self.over

    @override
    def can_write_eof(self) -> bool:
        return False

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def pause_reading(self) -> None: ...

    @override
    def resume_reading(self) -> None: ...


class Function(Invoker):
    """One function, called for one exchange at a time; its connections are `Connection` objects."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self._epochs = itertools.count(1)
        self._connection: Connection | None = None
        self.outcome: asyncio.Future[InvokeResult]
        self.envelope: Envelope

    @override
    async def invoke(self, invocation: Invocation) -> InvokeResult:
        context = json.loads(invocation.client_context or b"{}")
        self.envelope = Envelope.parse(context["custom"]["dialback"])
        self.outcome = asyncio.get_running_loop().create_future()
        self._epochs, self._connection = itertools.count(1), None
        return await self.outcome

    @property
    def bound(self) -> bool:
        """Whether a connection is attached."""
        return self._connection is not None

    def attach(self) -> None:
        journal = self._store.find(self.envelope.xid_bytes)
        assert journal is not None
        if isinstance(journal, Buried):
            return  # its tombstone refuses whoever comes
        connection = Connection(journal)
        if connection.attach(self.envelope, next(self._epochs)):
            self._connection = connection

    def cut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.journal.detach(connection)

    def send(self, *frames: Callable[[int], StreamFrame]) -> None:
        """Send frames, each made for a sid, as long as there is a connection."""
        for make in frames:
            if self._connection is not None and not self._connection.send(make):
                self.cut()

    def returns(self, value: object, error: str | None = None) -> None:
        self.outcome.set_result(InvokeResult(json.dumps(value).encode(), error, "request"))

    def receipt(self, status: str, **more: Any) -> dict[str, Any]:
        report = {
            "v": 1,
            "xid": self.envelope.xid,
            "inv": 1,
            "status": status,
            "final": 0,
            "crc": 0,
        }
        return {"dialback": report | more}

    def whole_receipt(self) -> dict[str, Any]:
        """A receipt with everything from the first byte on."""
        whole = BODY + TAIL
        return self.receipt(
            "end",
            final=len(whole),
            crc=crc32(whole),
            head={"status": 200, "headers": [["content-type", "text/plain"]]},
            tail={"offset": 0, "base64": base64.b64encode(whole).decode()},
        )


class Connection:
    """What a pump is to a journal."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self._sid = 1

    def attach(self, envelope: Envelope, epoch: int) -> bool:
        whole = len(BODY + TAIL)
        xid, token = envelope.xid_bytes, envelope.token
        sent = AttachFlag.HEAD_SENT
        frame = Attach(self._sid, xid, 1, epoch, token, bytes(16), 0, whole, sent, 0, 0)
        return isinstance(self.journal.attach(frame, self, 0.0), Attached)

    def send(self, make: Callable[[int], StreamFrame]) -> bool:
        try:
            self.journal.receive(make(self._sid), self, 0.0)
        except ProtocolError:
            return False
        return True

    def outbox_changed(self) -> None:
        self.journal.frames_to_send(0.0)

    def superseded(self) -> None: ...


def head(sid: int) -> Head:
    return Head(sid, 200, HEAD_PAIRS, 0)


def data(sid: int) -> Data:
    return Data(sid, 0, BODY)


def good_end(sid: int) -> End:
    return End(sid, len(BODY), crc32(BODY))


def bad_end(sid: int) -> End:
    return End(sid, len(BODY), crc32(BODY) ^ 1)


def reset(sid: int) -> Reset:
    return Reset(sid, 1, 0, "it raised")


class MemoryGateway:
    """A gateway in this loop's memory, which serves `/` one exchange at a time.

    Attributes:
        function: what it calls.
    """

    def __init__(self, timing: Timing, **route: Any) -> None:
        self.store, self.telemetry = JournalStore(), Telemetry()
        self.function = Function(self.store)
        offer = CallbackOffer(("ws://nowhere",), INITIAL_WINDOW, Limits())
        self.driver = Driver(
            {"/": self.function}, self.store, Tokens(), self.telemetry, offer, timing
        )
        routes = RouteTable([route_of_test(concurrency=1, queue=0, **route)])
        self.handler = EdgeHandler(routes, self.driver, self.telemetry, timing)
        self._server = EdgeServer(self.handler, self.telemetry, timing)

    async def ask(self) -> Wire:
        """Send a request; returns when the function has been called."""
        wire = Wire(self._server())
        await settle()
        return wire

    @property
    def last(self) -> Exchange:
        return self.driver.exchanges()[-1]

    async def close(self) -> None:
        await self._server.shutdown(1)
        await self.driver.close()
        self.handler.close()
