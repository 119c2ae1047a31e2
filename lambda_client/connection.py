"""One WebSocket to a gateway: websockets' sans-I/O client over a transport. No more.

Driving the sans-I/O client directly lets all frames that wait go to the kernel in one write, which
its front ends do not offer; small chunks cost about half as much.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from websockets.client import ClientProtocol
from websockets.frames import CloseCode as WebSocketClose
from websockets.typing import Subprotocol

from lambda_client.incoming import Incoming
from lambda_client.masking import masked, masks
from protocol.codec import decode, encode_parts
from protocol.connection import FunctionConnection
from protocol.errors import CloseCode, ProtocolError
from protocol.limits import SUBPROTOCOL, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from websockets.uri import WebSocketURI

    from lambda_client.event_loop import Loop
    from lambda_client.transport import Transport
    from protocol.frames import Frame, StreamFrame

logger = logging.getLogger("dialback")

_library_log = logging.getLogger("dialback.websocket")
_library_log.setLevel(logging.INFO)
"""websockets would show the Authorization header at DEBUG: a token never reaches a log."""

BURST = 128 * 1024
"""Bytes that are framed before they are handed on: two full DATA frames. Their buffers are used anew while
the processor has them in its caches; a window of them, 4 MiB, would come from memory twice."""

HIGH_WATER = 256 * 1024
"""Bytes waiting in the transport beyond which chunks wait, and are joined, in the stream instead.
Four full DATA frames keep the kernel busy while the loop does something else."""

LEFT_OVER_READS = 3
"""What a stream may have left unread is an answer or two: whoever says more between two streams is not heard out."""

CLOSE_SECONDS = 1.0
"""How long the last bytes of a closed connection may wait for a peer that takes none."""


class Owner(Protocol):
    """The one exchange that a connection carries now."""

    def received(self, frame: StreamFrame) -> None:
        """A frame of the active stream came."""
        ...

    def flush(self) -> None:
        """Something came, or the transport takes bytes again: send what waits."""
        ...

    def lost(self, reason: str, code: int | None) -> None:
        """The connection is gone, closed with `code` or without one; it reports nothing more."""
        ...


class Connection:
    """A connection that is open, or being opened (see `dial`). Used within turns only.

    Attributes:
        url: the callback URL that it was dialled at.
        owner: who it reports to; None while it is parked.
        state: the protocol's side: streams, keepalive, park.
        closed: nothing can be sent any more.
        paused: the transport holds more than it should: only control frames may follow.
    """

    def __init__(
        self,
        loop: Loop,
        url: str,
        uri: WebSocketURI,
        token: str,
        limits: Limits,
        opened: Callable[[Exception | None], None],
    ) -> None:
        """Make one; `connection_made` asks for the upgrade.

        Args:
            loop: where it lives.
            url: the callback URL that is dialled.
            uri: where exactly the upgrade is asked for.
            token: shown to the gateway.
            limits: what messages may come before the gateway has said its own.
            opened: called once, when the upgrade succeeded (None) or failed.
        """
        self.url = url
        self.owner: Owner | None = None
        self.closed = False
        self.paused = False
        self._loop = loop
        self.state = FunctionConnection(limits, loop.time())
        self._opened: Callable[[Exception | None], None] | None = opened
        self._token = token
        self._masks: list[bytes] = []
        self._when_flushed: Callable[[], None] | None = None
        self._socket = ClientProtocol(
            uri,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=limits.max_message,
            logger=_library_log,
        )
        self._incoming = Incoming(self._socket, limits.max_message, self._on_response)
        self._transport: Transport | None = None

    # ------------------------------------------------------------ sending

    def send(self, frames: Iterable[Frame]) -> None:
        """Send frames, and before them what the connection itself has to say, in few writes."""
        transport = self._transport
        if self.closed or transport is None or self._socket.close_sent is not None:
            return  # a goodbye in the same read has been answered, and is about to be acted upon
        if self.state.has_frames:
            frames = [*self.state.frames_to_send(self._loop.time()), *frames]
        parts: list[bytes] = []
        size = 0
        for frame in frames:
            if not self._masks:
                self._masks = masks()
            framed = masked(encode_parts(frame), self._masks.pop())
            parts += framed
            size += len(framed[-1])
            if size >= BURST:
                transport.writelines(parts)
                parts, size = [], 0
        if parts:
            transport.writelines(parts)

    def when_flushed(self, then: Callable[[], None]) -> None:
        """Call `then` once the kernel took everything (or the connection is gone)."""
        if self.closed or self._transport is None or not self._transport.waiting():
            then()
            return
        self._when_flushed = then
        self._transport.set_high_water(0)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Say goodbye, and do not wait for the answer: the environment may freeze."""
        if self.closed or self._transport is None:
            self.abort()
            return
        self._socket.fail(WebSocketClose.NORMAL_CLOSURE if code == 1000 else code, reason)
        self._flush()
        self.closed = True
        self._hang_up(self._transport)

    def abort(self) -> None:
        """Drop the connection without a word."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def untouched(self) -> bool:
        """Whether nothing, not even a goodbye, waits to be read. Callable on any thread.

        A thawed environment asks this before the loop has had time to look at the socket.
        """
        transport = self._transport
        if self.closed or transport is None or not self.state.reusable:
            return False
        return not transport.readable()

    def catch_up(self) -> bool:
        """Read what came while it was parked, the END_ACK of a stream that did not wait for it say.

        Returns:
            Whether another stream may begin.
        """
        for _ in range(LEFT_OVER_READS):
            if self.closed or self._transport is None:
                break
            self._transport.read()
            if self.untouched():
                return True
        return False

    # ------------------------------------------------------------ what the transport calls

    def connection_made(self, transport: Transport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        transport.set_high_water(HIGH_WATER)
        request = self._socket.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        self._socket.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes; hand on the frames in them, then let the owner answer once."""
        try:
            for message in self._incoming.messages(data):
                self._on_message(message)
        except ProtocolError as error:
            logger.warning("the gateway broke the protocol: %s", error)
            self._drop(error.close_code, f"the gateway broke the protocol: {error}")
            return
        self._flush()
        if self._socket.close_expected() or self._socket.close_sent is not None:
            self._drop(None, *self._goodbye())
        elif self.owner is not None:
            self.owner.flush()
        elif self.state.has_frames:
            self.send(())

    def eof_received(self) -> None:
        """Nothing comes after this, and from now on the library takes nothing either."""
        self._socket.receive_eof()
        self._drop(None, *self._goodbye())

    def pause_writing(self) -> None:
        """The transport holds enough."""
        self.paused = True

    def resume_writing(self) -> None:
        """The transport wants more."""
        self.paused = False
        if self._when_flushed is not None:
            then, self._when_flushed = self._when_flushed, None
            if self._transport is not None:
                self._transport.set_high_water(HIGH_WATER)
            then()
        elif self.owner is not None:
            self.owner.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        reason, code = self._goodbye()
        if exc is not None:
            reason = str(exc) or type(exc).__name__
        self._tell_opened(self._socket.handshake_exc or exc or ConnectionError(reason))
        self._drop(None, reason, code)

    # ------------------------------------------------------------ inside

    def _drop(self, say: CloseCode | None, reason: str, code: int | None = None) -> None:
        """End the connection and tell the owner, once; `say` tells the gateway why."""
        if say is not None:
            self.close(say, reason[:100])
        elif not self.closed and self._transport is not None:
            self._hang_up(self._transport)
        self.closed = True
        owner, self.owner = self.owner, None
        then, self._when_flushed = self._when_flushed, None
        if owner is not None:
            owner.lost(reason, say or code)
        if then is not None:
            then()

    def _hang_up(self, transport: Transport) -> None:
        """Close the transport; a peer that does not take what waits in it keeps it only for a while."""
        transport.close()
        self._loop.call_later(CLOSE_SECONDS, self.abort)

    def give_up(self, error: ProtocolError) -> None:
        """End the connection, because a timer of the protocol ran out."""
        self._drop(error.close_code, str(error))

    def _on_response(self) -> None:
        # Not now: a goodbye may be in the same read.
        self._loop.call_soon(lambda: self._tell_opened(self._socket.handshake_exc))

    def _tell_opened(self, error: Exception | None) -> None:
        tell, self._opened = self._opened, None
        if tell is not None:
            tell(error)

    def _on_message(self, message: bytes | memoryview) -> None:
        now = self._loop.time()
        frame = decode(message, max_frame=self.state.limits.max_frame)
        if frame is None:
            self.state.heard(now)
            return
        wanted = self.state.receive(frame, now)
        if wanted is not None and self.owner is not None:
            self.owner.received(wanted)

    def _flush(self) -> None:
        """Send what the library has to say: the upgrade, pongs, a goodbye."""
        parts = [part for part in self._socket.data_to_send() if part]
        if parts and self._transport is not None:
            self._transport.writelines(parts)

    def _goodbye(self) -> tuple[str, int | None]:
        """Return why and with which code the connection ended; no code when nobody said goodbye."""
        said = self._socket.close_rcvd or self._socket.close_sent
        if said is None:
            return "closed by the gateway", None
        return f"closed with {said.code} {said.reason}".strip(), said.code
