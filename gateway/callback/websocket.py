"""One WebSocket of a function, from its upgrade to its end: a protocol on the transport, and nothing beside.

Between two messages it is a handful of attributes: no task waits for it, no queue, no timer.

A Close is said once, and what follows it is read only for the peer's own. Then this side says that it writes no
more (RFC 6455 section 7.1.1): a peer reads all that there is, and goes. For that it has `CLOSE_SECONDS`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override
from websockets.protocol import OPEN, SEND_EOF

from gateway.callback.framing import framed
from gateway.callback.reading import OTHERS_MAX, FrameReader
from gateway.writing import half_close, write_parts
from protocol.codec import encode_parts
from protocol.errors import CloseCode, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from websockets.protocol import Protocol as Library

    from gateway.crowds import Crowd
    from protocol.frames import Frame

CLOSE_SECONDS = 1.0
"""How long a closing connection may keep its socket: a frozen function neither reads nor answers."""

_PONG = 0x8A
"""FIN, and the opcode of a pong."""


class Owner(Protocol):
    """Who a WebSocket is for."""

    def take(self, message: bytes) -> None:
        """A binary message came; after a Close of ours, too."""
        ...

    def rule_broken(self, error: RemoteProtocolError) -> None:
        """What came is no WebSocket message, or a text; close with the code of the error."""
        ...

    def has_room(self) -> None:
        """The transport wants more; it was `WebSocket.full`."""
        ...

    def left(self) -> None:
        """The peer closes, or has answered the Close, or says nothing more."""
        ...

    def lost(self, error: Exception | None) -> None:
        """There is no connection any more."""
        ...


class WebSocket(FrameReader):
    """What a transport talks to once the upgrade is answered.

    Args:
        transport: of the connection.
        limit: most bytes of a message.
        crowd: where it is counted.

    Attributes:
        full: whether the transport holds enough.
    """

    __slots__ = ("_crowd", "_hang_up", "_owner", "_transport", "_written", "full")

    def __init__(self, transport: asyncio.Transport, limit: int, crowd: Crowd) -> None:
        super().__init__(limit)
        self._transport = transport
        self._crowd = crowd
        self._owner: Owner
        self._written = 0
        self._hang_up: asyncio.TimerHandle | None = None
        self.full = False

    def serve(self, owner: Owner) -> None:
        """Tell somebody what comes."""
        self._owner = owner
        self._take = owner.take

    # ------------------------------------------------------------ what the transport calls

    @override
    def pause_writing(self) -> None:
        self.full = True

    @override
    def resume_writing(self) -> None:
        self.full = False
        self._owner.has_room()

    @override
    def eof_received(self) -> None:
        """The peer says nothing more: it is gone, whatever it has yet to read. The transport closes itself."""
        self._hang_up_soon()
        self._owner.left()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
        self._crowd.leave(self)
        self._owner.lost(exc)
        self._let_go_of_library()
        del self._owner, self._take  # they hold this

    # ------------------------------------------------------------ writing

    @property
    def closing(self) -> bool:
        """Whether nothing may be sent any more."""
        return self._hang_up is not None or self._transport.is_closing()

    def send(self, frames: Iterable[Frame]) -> None:
        """Hand a message for each frame to the transport, in one write. It must not be closing."""
        parts: list[bytes | memoryview] = []
        for frame in frames:
            parts += framed(encode_parts(frame))
        if parts:
            self._written += sum(map(len, parts))
            write_parts(self._transport, parts)

    @property
    def waiting(self) -> int:
        """Bytes that the transport holds."""
        return self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes that the kernel took so far."""
        return self._written - self.waiting

    # ------------------------------------------------------------ the end

    def idle_since(self) -> None:
        """Never: a parked one is kept for what comes (see `gateway.crowds`)."""

    def give_way(self) -> None:
        """End at once (see `gateway.crowds`)."""
        self._transport.abort()

    def close(self, code: CloseCode) -> None:
        """Say Close, unless that was said."""
        library = self._get_library()
        if library.state is OPEN:
            library.send_close(code)
            self._theirs = True
            self._answer(library)

    @override
    def _refuse_text(self) -> None:
        error = RemoteProtocolError("a text message", close_code=CloseCode.UNSUPPORTED_DATA)
        self._owner.rule_broken(error)

    @override
    def _refuse_flood(self) -> None:
        flood = f"more than {OTHERS_MAX} frames at once that are no whole message"
        self._owner.rule_broken(RemoteProtocolError(flood, close_code=CloseCode.TOO_FAST))

    @override
    def _answer(self, library: Library) -> None:
        parts = library.data_to_send()
        if library.state is not OPEN:
            self._hang_up_soon()
        if self._transport.is_closing():
            return
        for part in parts:
            if part == SEND_EOF:
                half_close(self._transport)
            elif not self.full or part[0] != _PONG:  # of many that nobody takes some are not said
                self._written += len(part)
                self._transport.write(part)
        if library.parser_exc is not None:
            self._owner.rule_broken(RemoteProtocolError(str(library.parser_exc)))
        elif library.close_rcvd is not None:
            self._owner.left()

    def _hang_up_soon(self) -> None:
        if self._hang_up is None:
            loop = asyncio.get_running_loop()
            self._hang_up = loop.call_later(CLOSE_SECONDS, self._transport.abort)
