"""The journal of one exchange, in this process's memory.

A journal is a conveyor with one hatch back. On one side a producer appends: the callback that is
bound, or a whole answer at once. On the other side one reader takes: the exchange, on behalf of the
client. Backward through the hatch go credit and cancellation.

The contract, for this engine and for any that follows:

* `attach`, `receive` and `detach` are called by callback connections, in the order in which their
  frames came. Which connection may append, and at which offset, is decided by
  `protocol.gateway_stream` alone: frames of any other are dropped.
* Appending is synchronous and in order. What `read_body` returned once is never returned again.
* Lifecycle news (`attached`, `head`, `ended` ...) reach the reader at once, before the bytes that are
  still waiting; `exhausted` tells when the last byte has been read.
* `taken(n)` says that the client's transport took n bytes more. Nothing before that is acknowledged to
  the function, and only what is acknowledged becomes credit: so at most one window waits here.
  `discard` says so of everything, once there is no client any more and the function shall go on.
* After `close` nothing is kept but what ends the bound connection in order; `tombstone` answers latecomers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

from gateway.journal.budget import MemoryBudget
from protocol.errors import CancelCode, RejectCode, StreamFailed
from protocol.frames import Attached, Data, End, Head, Reset
from protocol.gateway_stream import GatewayStream
from protocol.limits import KIB

if TYPE_CHECKING:
    from gateway.tokens import Grant
    from protocol.errors import RemoteProtocolError
    from protocol.frames import Attach, Frame, Reject, StreamFrame
    from protocol.headers import HeaderList
    from protocol.limits import Limits
    from protocol.receipt import Receipt
    from protocol.tombstone import Tombstone


PIECES_MAX = 1024
"""Pieces of a body that wait, before small ones are joined. A window of full frames is 64; a window of
crumbs would be millions of objects, twenty times its bytes, and be handed to the transport in one turn."""

JOINED_MAX = 64 * KIB
"""Up to this size they are joined, so that each byte is copied a few times at most."""


_NOBODYS = MemoryBudget()


class Reader(Protocol):
    """The exchange, as its journal sees it. None of these may block."""

    def on_attached(self) -> None:
        """A callback is bound."""
        ...

    def on_detached(self) -> None:
        """The bound callback is lost."""
        ...

    def on_head(self) -> None:
        """The response head is here: `MemoryJournal.head`."""
        ...

    def on_data_frame(self) -> None:
        """A DATA frame came over a callback: its bytes wait in `MemoryJournal.read_body`."""
        ...

    def on_ended(self) -> None:
        """A valid END is held: everything is here, and the CRC matches."""
        ...

    def on_failed(self, code: int, reason: str) -> None:
        """The stream can never end cleanly; `code` is a `ResetCode`, or one of a later version."""
        ...


class Writer(Protocol):
    """A callback connection, as the journal sees it. Its identity is what is bound."""

    @override
    def __hash__(self) -> int:
        """Tell connections apart."""
        ...

    def outbox_changed(self) -> None:
        """`MemoryJournal.due` may be true now, or its next deadline moved."""
        ...

    def superseded(self) -> None:
        """A newer connection is bound: this one is of no more use."""
        ...


class MemoryJournal:
    """The bytes of one response on their way, and of one request body going the other way.

    Attributes:
        xid: the exchange, 16 bytes.
        grant: what opens it.
        head: the response head, once it is here.
        whole_length: body length in bytes, if the whole response came at once.
        ended: whether the whole body is here.
        budget: of the store that keeps it: counts what is held here, and decides whether the window may grow.
    """

    def __init__(
        self,
        grant: Grant,
        reader: Reader,
        *,
        window: int,
        limits: Limits,
        upload: bool,
        check_length: bool = True,
    ) -> None:
        """Open it.

        Args:
            grant: whose it is, and what opens it.
            reader: told what happens.
            window: response bytes that may be here, or on their way.
            limits: of the protocol.
            upload: whether the request body goes over the callback.
            check_length: hold the body against Content-Length; False for the answer to a HEAD.
        """
        self.xid = grant.xid
        self.grant = grant
        self.head: Head | None = None
        self.whole_length: int | None = None
        self._reader: Reader | None = reader
        self._stream = GatewayStream(
            grant.xid, window=window, limits=limits, upload=upload, check_length=check_length
        )
        self._writer: Writer | None = None
        self._body: list[bytes] = []
        self.ended = False
        self._upload_room: asyncio.Future[None] | None = None
        self.budget = _NOBODYS
        self._held = 0  # response bytes that are not taken
        self._kept = 0  # request bytes that are not acknowledged

    @property
    def held(self) -> int:
        """Bytes that are here, of both bodies."""
        return self._held + self._kept

    # ------------------------------------------------------------ the callback's side

    def attach(self, frame: Attach, writer: Writer, now: float) -> Attached | Reject:
        """Bind a connection, if its ATTACH is newer than any before; the answer is to be sent.

        The caller has checked that `grant` admits it.
        """
        before = self._writer
        answer = self._stream.attach(frame, writer, now)
        if isinstance(answer, Attached):
            self._writer = writer
            if before is not None and before is not writer:
                before.superseded()
            if self._upload_room is not None:
                self._let_upload_go_on()
            if self._reader is not None:
                self._reader.on_attached()
        elif self._stream.failed is not None:
            self._fail(self._stream.failed, "the function came back at an offset that is gone")
        return answer

    def receive(self, frame: StreamFrame, writer: Writer, now: float) -> None:
        """Take a frame that came on a connection.

        Raises:
            protocol.errors.RemoteProtocolError: the connection is to be closed with its code.
        """
        try:
            news = self._stream.receive(writer, frame, now)
        except StreamFailed as error:
            self._fail(error.reset_code, str(error))
            raise
        if isinstance(news, Data):
            if self._reader is not None:
                self._keep(news.data)
                self._reader.on_data_frame()
            if self._stream.at_limit:  # now some credit may be worth a frame that was not before
                self._tell_writer()
        elif news is not None:
            self._append(news)
        elif self._kept:
            self._count_upload()
        if self._upload_room is not None:
            self._let_upload_go_on()

    def rule_broken(self, writer: Writer, error: RemoteProtocolError) -> None:
        """A connection sent what never became a frame of the stream; the third time is the last."""
        try:
            self._stream.rule_broken(writer, error)
        except StreamFailed as last:
            self._fail(last.reset_code, str(last))

    def detach(self, writer: Writer) -> None:
        """A connection is gone, or has done its part."""
        done = self._stream.over
        if self._stream.detach(writer):
            self._writer = None
            if self._reader is not None and not done:
                self._reader.on_detached()

    def frames_to_send(self, now: float) -> list[Frame]:
        """Return what waits for the bound connection; it counts as sent."""
        return self._stream.frames_to_send(now, may_grow=not self.budget.tight)

    def due(self, now: float) -> bool:
        """Whether `frames_to_send` has something now."""
        return self._stream.due(now)

    @property
    def over(self) -> bool:
        """Whether the bound connection has done its part: END acknowledged, or RESET."""
        return self._stream.over

    def next_deadline(self) -> float | None:
        """When `frames_to_send` will have something even if nothing happens until then."""
        return self._stream.next_deadline()

    # ------------------------------------------------------------ the reader's side

    @property
    def exhausted(self) -> bool:
        """Whether the whole body is here and was read."""
        return self.ended and not self._body

    def read_body(self) -> list[bytes]:
        """Return the body bytes that wait, in order, as they came."""
        parts, self._body = self._body, []
        return parts

    def taken(self, count: int) -> None:
        """The client's transport took `count` bytes more: they become credit."""
        self._held -= count
        self.budget.held -= count
        # After the end there is nothing left that credit would be for.
        if not self.ended and self._stream.consumed(count):
            self._tell_writer()

    def discard(self) -> None:
        """Count whatever is here as taken, read or not: its client has left, and the function goes on."""
        self._body = []
        if self._held:
            self.taken(self._held)

    def serve(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Append a whole answer that came by the invoke; the callback's stream is over."""
        self._stream.terminate(RejectCode.TERMINAL)
        self._count_upload()
        self.head = Head(0, status, headers, 0)
        self.whole_length = len(body)
        self._drop_body()
        self._body = [body] if body else []
        self._held = len(body)
        self.budget.held += len(body)
        self.ended = True

    def apply_receipt(self, receipt: Receipt) -> None:
        """Append the tail that the function could not send over its callback.

        Raises:
            protocol.errors.StreamFailed: it does not continue what is here, or the CRC differs.
        """
        whole = self.head is None
        for news in self._stream.apply_receipt(receipt):
            self._append(news)
        if whole and self.ended:
            self.whole_length = receipt.final

    def cancel(self, code: CancelCode, message: str) -> bool:
        """Tell the function that nobody wants the rest, now or when it attaches.

        Returns:
            Whether there is anything to stop; False after the end.
        """
        self._stream.cancel(code, message)
        self._count_upload()
        self._tell_writer()
        return self._stream.cancelled is not None

    def close(self) -> None:
        """Forget the bytes and the reader."""
        self._reader = None
        if self._held:
            self._drop_body()
        self._stream.terminate(self._stream.terminal or RejectCode.TERMINAL)
        if self._kept:
            self._count_upload()
        if self._upload_room is not None:
            self._upload_room.cancel()
            self._upload_room = None

    def tombstone(self) -> Tombstone:
        """Return what answers latecomers once this is closed, in a fraction of its memory."""
        return self._stream.tombstone()

    # ------------------------------------------------------------ the request body

    @property
    def upload_acknowledged(self) -> bool:
        """Whether the function has taken the whole request body."""
        return self._stream.upload_acknowledged

    async def upload(self, data: bytes) -> None:
        """Append request body bytes, waiting for the function's credit."""
        rest = memoryview(data)
        while rest:
            accepted = self._stream.upload(rest)
            rest = rest[accepted:]
            if accepted:
                self._count_upload()
                self._tell_writer()
            else:
                self._upload_room = asyncio.get_running_loop().create_future()
                await self._upload_room

    def finish_upload(self) -> None:
        """The request body is complete."""
        self._stream.finish_upload()
        self._tell_writer()

    def _let_upload_go_on(self) -> None:
        room = self._upload_room
        if room is not None and self._stream.upload_room > 0:
            self._upload_room = None
            if not room.cancelled():  # whoever waited may have gone
                room.set_result(None)

    # ------------------------------------------------------------ inside

    def _append(self, news: Head | Data | End | Reset) -> None:
        reader = self._reader
        if reader is None:
            return
        match news:
            case Data():
                self._keep(news.data)
            case Head():
                self.head = news
                reader.on_head()
            case End():
                self.ended = True
                reader.on_ended()
            case Reset():
                reader.on_failed(news.code, news.message)

    def _keep(self, data: bytes) -> None:
        self._body.append(data)
        if len(self._body) > PIECES_MAX:
            self._body = _joined(self._body)
        size = len(data)
        self._held += size
        self.budget.held += size

    def _drop_body(self) -> None:
        self._body = []
        self.budget.held -= self._held
        self._held = 0

    def _count_upload(self) -> None:
        kept = self._stream.upload_kept
        self.budget.held += kept - self._kept
        self._kept = kept

    def _fail(self, code: int, reason: str) -> None:
        if self._reader is not None:
            self._reader.on_failed(code, reason)

    def _tell_writer(self) -> None:
        if self._writer is not None:
            self._writer.outbox_changed()


def _joined(pieces: list[bytes]) -> list[bytes]:
    """Return the same bytes in fewer pieces."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for piece in pieces:
        if size + len(piece) > JOINED_MAX and groups[-1]:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += len(piece)
    return [b"".join(group) for group in groups]
