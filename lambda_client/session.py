"""One exchange, shared by the thread that runs user code and the I/O thread.

User code puts bytes in and waits for room; the I/O thread (see `pump`) takes frames out. One lock
guards the stream between them. The I/O thread is woken only when it is idle: a producer that is
faster than the socket pays for the hop between threads once per wake-up, not once per chunk.

    IDLE --open--> DIALLING --> ATTACHED --> SETTLED
                      |                        ^
                      +--> UNREACHABLE --------+
"""

from __future__ import annotations

import logging
import os
import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

from lambda_client.errors import (
    ClientGone,
    DeadlineReached,
    GatewayUnreachable,
    StreamClosed,
    StreamLost,
)
from lambda_client.loop import io_thread
from protocol.errors import CancelCode, RejectCode, ResetCode
from protocol.function_stream import FunctionStream
from protocol.limits import RECEIPT_BODY_MAX, Limits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lambda_client.invocation import Invocation
    from lambda_client.pump import Pump
    from protocol.envelope import Envelope
    from protocol.frames import Attach, Cancel, Frame
    from protocol.headers import HeaderList

logger = logging.getLogger("dialback")

END_ACK_SECONDS = 10.0
"""How long to wait for the gateway to say that it holds everything (protocol SPEC, timers)."""

RESET_SECONDS = 1.0
"""How long a RESET may take to reach the kernel before the environment may freeze."""


_UNWANTED = frozenset({RejectCode.CANCELLED, RejectCode.TERMINAL})


class Phase(Enum):
    """How far the exchange has come towards a connection."""

    IDLE = "idle"
    DIALLING = "dialling"
    ATTACHED = "attached"
    UNREACHABLE = "unreachable"
    SETTLED = "settled"


class Session:
    """The outlet that streams (see `response.Outlet`), and the source of a streamed request body.

    Attributes:
        envelope: how to dial back.
        remaining: seconds from the start of the invocation to its deadline, or None.
        lock: guards everything below.
        stream: the protocol's side of the exchange.
        sid: the stream's id on its connection.
        phase: see above.
        failure: why nobody takes the response any more.
    """

    def __init__(self, invocation: Invocation, envelope: Envelope) -> None:
        self.envelope = envelope
        self.remaining = invocation.remaining
        self.lock = threading.Lock()
        self.stream = FunctionStream(envelope, secret=os.urandom(16), limits=Limits())
        self.sid = 0
        self.phase = Phase.IDLE
        self.failure: StreamClosed | None = None
        self._changed = threading.Condition(self.lock)
        self._suspended: list[asyncio.Future[None]] = []
        self._stop: Callable[[], None] | None = None
        self._pump: Pump | None = None
        self._pump_idle = False
        self._dial_failure: str | None = None

    # ------------------------------------------------------------ the response, from user code

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        return self.stream.started

    def open(self) -> None:
        """Begin to dial, or attach on the parked connection. Harmless when done before."""
        if self.phase is not Phase.IDLE:
            return
        io = io_thread()
        parked, attach = io.take_parked(), None
        with self.lock:
            self.phase = Phase.DIALLING
            if parked is not None:
                # Attached here and now, so that the first write already counts as streamed.
                attach = self.attach(io.next_sid())

        def start() -> None:
            from lambda_client.pump import Pump

            self._pump = Pump(io, self)
            if parked is not None and attach is not None:
                self._pump.reuse(parked, attach)
            else:
                self._pump.dial()

        io.submit(start)

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head; it travels with the first bytes, or at `flush`."""
        with self.lock:
            self._check()
            self.stream.start(status, headers)

    def flush(self) -> None:
        """Send the head now."""
        self._wake()

    def write(self, data: bytes) -> None:
        """Take body bytes; block while there is no credit."""
        rest = memoryview(data)
        while rest:
            rest = self._put(rest)
            if rest:
                with self.lock:
                    self._changed.wait_for(self._movable)

    async def write_async(self, data: bytes) -> None:
        """Take body bytes; suspend the task while there is no credit."""
        rest = memoryview(data)
        while rest:
            rest = self._put(rest)
            if rest:
                await self._suspend(self._movable)

    def end(self) -> None:
        """Say that the body is complete."""
        with self.lock:
            if self.failure is not None or self.stream.ended:
                return
            self.stream.end()
        self._wake()

    def _put(self, data: memoryview) -> memoryview:
        """Hand over as much as credit allows; return the rest."""
        with self.lock:
            self._check()
            if self.stream.ended:
                raise StreamClosed("write after end")
            accepted = self.stream.write(data)
            if accepted < len(data) and self.phase is Phase.UNREACHABLE:
                self._refuse_large_body()
        if accepted:
            self._wake()
        return data[accepted:]

    def _movable(self) -> bool:
        return self.stream.room > 0 or self.failure is not None or self._settled()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _refuse_large_body(self) -> None:
        self.failure = GatewayUnreachable(
            f"{self._dial_failure}; a body of more than {RECEIPT_BODY_MAX} bytes cannot be"
            " returned without it"
        )
        raise self.failure

    def _wake(self) -> None:
        """Wake the I/O thread if it has nothing to do; otherwise it will look by itself."""
        with self.lock:
            pump = self._pump if self._pump_idle else None
            self._pump_idle = False
        if pump is not None:
            io_thread().submit(pump.flush)

    # ------------------------------------------------------------ the request body, to user code

    def read(self) -> bytes:
        """Return request bytes as they come, blocking for them; empty at the end.

        Raises:
            StreamClosed: the rest will never come.
        """
        self.open()
        while (data := self._take()) is None:
            with self.lock:
                self._changed.wait_for(self._readable)
        return data

    async def read_async(self) -> bytes:
        """As `read`, suspending the task instead of blocking the thread."""
        self.open()
        while (data := self._take()) is None:
            await self._suspend(self._readable)
        return data

    def _take(self) -> bytes | None:
        with self.lock:
            data = self.stream.read()
            if not data and not self.stream.upload_ended:
                self._check()
                if self._settled():
                    raise StreamClosed("the rest of the request body cannot be had")
                return None
        if data:
            self._wake()
        return data

    def _readable(self) -> bool:
        return (
            self.stream.upload_waiting > 0
            or self.stream.upload_ended
            or self.failure is not None
            or self._settled()
        )

    # ------------------------------------------------------------ waiting

    async def _suspend(self, ready: Callable[[], bool]) -> None:
        import asyncio

        with self.lock:
            if ready():
                return
            future = asyncio.get_running_loop().create_future()
            self._suspended.append(future)
        await future

    def look_again(self) -> None:
        """Let everybody who waits look again. The lock is held."""
        self._changed.notify_all()
        suspended, self._suspended = self._suspended, []
        for future in suspended:
            future.get_loop().call_soon_threadsafe(_resolve, future)

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Name what stops the asynchronous user code now running."""
        with self.lock:
            self._stop = stop
            if stop is not None and self.failure is not None:
                stop()

    # ------------------------------------------------------------ for the I/O thread

    def attach(self, sid: int) -> Attach | None:
        """Return the ATTACH for a new connection; None if none is needed. The lock is held."""
        if self.phase is not Phase.DIALLING and self.phase is not Phase.ATTACHED:
            return None
        self.phase = Phase.ATTACHED
        self.sid = sid
        return self.stream.attach(sid)

    def redial(self) -> None:
        """The parked connection was gone already: begin as if there had been none."""
        with self.lock:
            self.stream.detach()
            if self.phase is Phase.ATTACHED:
                self.phase = Phase.DIALLING

    def frames_to_send(self, now: float) -> list[Frame]:
        """Return what waits; when nothing does, the next write wakes. The lock is held."""
        frames = self.stream.frames_to_send(now)
        self._pump_idle = True
        if self.stream.end_sent:
            self._changed.notify_all()
        return frames

    def cancelled(self, frame: Cancel) -> None:
        """The gateway wants no more. The lock is held."""
        try:
            code = CancelCode(frame.code)
        except ValueError:
            code = CancelCode.FAILED
        self._close(ClientGone(code, frame.message))

    def out_of_time(self, code: ResetCode) -> None:
        """Lambda is about to end the function: break the response off while there is time."""
        with self.lock:
            self.stream.reset(code, "the function's own deadline is near")
            self._close(DeadlineReached("the function's own deadline is near"))

    def lost(self, reason: str) -> None:
        """The connection broke."""
        with self.lock:
            self.stream.detach()
            if self.stream.rejected is not None:
                reason = f"refused: {self.stream.rejected}"
            self._close(StreamLost(f"the connection to the gateway was lost: {reason}"))
            self.phase = Phase.SETTLED
            self.look_again()

    def unreachable(self, reason: str) -> None:
        """The gateway could not be dialled: keep the body for the receipt."""
        with self.lock:
            if self.phase is Phase.DIALLING:
                self.phase = Phase.UNREACHABLE
                self._dial_failure = reason
                self.stream.buffer_for_receipt()
                self.look_again()

    def settle(self) -> None:
        """The stream is over on its connection, for better or worse."""
        with self.lock:
            reject = self.stream.rejected
            if reject is not None and reject.code in _UNWANTED:
                self._close(ClientGone(CancelCode.CLIENT_GONE, "the client left before"))
            elif not self.stream.end_acknowledged:
                why = "reset" if reject is None else f"refused: {reject}"
                self._close(StreamClosed(f"nobody takes the response any more: {why}"))
            self.phase = Phase.SETTLED
            self.look_again()

    def _close(self, failure: StreamClosed) -> None:
        if self.failure is None and not self.stream.end_acknowledged:
            self.failure = failure
            if self._stop is not None:
                self._stop()
        self.look_again()

    # ------------------------------------------------------------ endings, from user code

    def explains(self, error: BaseException) -> bool:
        """Whether an error in user code only says that the gateway wants no more."""
        return isinstance(self.failure, ClientGone) and (
            error is self.failure or type(error).__name__ == "CancelledError"
        )

    def finish(self) -> dict[str, Any]:
        """Deliver the whole response; return the receipt.

        Raises:
            StreamClosed: it could not be delivered, and the invocation should be seen to fail.
        """
        with self.lock:
            if self.failure is None and not self.stream.ended:
                self.stream.end()
            inline = None if self.failure is not None else self.stream.inline_answer()
            if inline is not None:
                self.phase = Phase.SETTLED
                return inline.to_json()
        if self.failure is None:
            self.open()
        self._wake()
        with self.lock:
            self._changed.wait_for(lambda: self._settled() or self.stream.end_sent)
            self._changed.wait_for(self._settled, END_ACK_SECONDS)
            return self._receipt()

    def fail(self, error: BaseException) -> None:
        """Break the response off, because user code raised; waits until the gateway was told."""
        with self.lock:
            if self.phase is not Phase.ATTACHED:
                self.phase = Phase.SETTLED
                return
            code = ResetCode.CANCELLED if self.explains(error) else ResetCode.HANDLER_ERROR
            self.stream.reset(code, type(error).__name__)
        self._wake()
        with self.lock:
            self._changed.wait_for(lambda: self.phase is Phase.SETTLED, RESET_SECONDS)

    def stopped(self, error: BaseException) -> dict[str, Any]:
        """End an exchange that the gateway cancelled; return the receipt."""
        self.fail(error)
        with self.lock:
            return self.stream.receipt().to_json()

    def _settled(self) -> bool:
        return self.phase in (Phase.UNREACHABLE, Phase.SETTLED)

    def _receipt(self) -> dict[str, Any]:
        if self.failure is not None and not isinstance(self.failure, ClientGone | StreamLost):
            raise self.failure
        if self.failure is not None:
            logger.warning("response broken off: %s", self.failure)
        return self.stream.receipt(dial=self._dial_failure).to_json()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
