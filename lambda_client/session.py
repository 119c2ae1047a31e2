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
from lambda_client.outcome import refusal, report
from lambda_client.upload import Upload
from lambda_client.waiting import Waiters
from protocol.errors import ResetCode
from protocol.frames import Cancel, Reject
from protocol.function_stream import FunctionState, FunctionStream
from protocol.limits import INLINE_ANSWER_MAX, RECEIPT_BODY_MAX, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.invocation import Invocation
    from lambda_client.pump import Pump
    from protocol.envelope import Envelope
    from protocol.frames import Attach, Frame, StreamFrame
    from protocol.headers import HeaderList

logger = logging.getLogger("dialback")

END_ACK_SECONDS = 10.0
"""How long to wait for the gateway to say that it holds everything (protocol SPEC, timers)."""

RESET_SECONDS = 1.0
"""How long a RESET may take to reach the kernel before the environment may freeze."""


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
        deadline: when Lambda ends the function (monotonic seconds), or None.
        remaining: seconds from the start of the invocation to its deadline, or None.
        lock: guards everything below.
        stream: the protocol's side of the exchange.
        waiters: who waits for credit, for request bytes, or for the end.
        upload: the request body, where it is streamed.
        sid: the stream's id on its connection.
        phase: see above.
        failure: why nobody takes the response any more.
        dial_failure: why the gateway could not be reached.
    """

    def __init__(self, invocation: Invocation, envelope: Envelope) -> None:
        self.envelope = envelope
        self.deadline = invocation.deadline
        self.remaining = invocation.remaining
        self.lock = threading.Lock()
        self.stream = FunctionStream(
            envelope, secret=os.urandom(16), limits=Limits(max_frame=envelope.max_frame)
        )
        self.sid = 0
        self.phase = Phase.IDLE
        self.failure: StreamClosed | None = None
        self.waiters = Waiters(self.lock)
        self.upload = Upload(self)
        self._stop: Callable[[], None] | None = None
        self._pump: Pump | None = None
        self._pump_idle = False
        self._urgent = False
        self.dial_failure: str | None = None

    # ------------------------------------------------------------ the response, from user code

    @property
    def ordinary(self) -> bool:
        """Whether an ordinary return value tells the gateway all.

        It would not say whether a streamed request body was left unread on purpose.
        """
        return self.phase is Phase.IDLE and self.envelope.body == "inline"

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
            try:
                from lambda_client.pump import Pump  # brings asyncio, websockets and msgpack
            except ImportError as error:
                self.unreachable(f"cannot dial back: {error}")
                return
            self._pump = pump = Pump(io, self)
            if parked is not None and attach is not None:
                pump.reuse(parked, attach)
            else:
                pump.dial()

        io.submit(start)

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head; it travels with the first bytes, or at `flush`."""
        with self.lock:
            self.check()
            self.stream.start(status, headers)

    def flush(self) -> None:
        """Send the head now."""
        with self.lock:
            pump = self._take_idle_pump()
        if pump is not None:
            io_thread().submit(pump.flush)

    def write(self, data: bytes) -> None:
        """Take body bytes; block while there is no credit."""
        if self.phase is Phase.IDLE and len(data) > INLINE_ANSWER_MAX:
            self.open()
        rest = self._put(data)
        while rest:
            with self.lock:
                self.waiters.wait(self._movable)
            rest = self._put(rest)

    async def write_async(self, data: bytes) -> None:
        """Take body bytes; suspend the task while there is no credit."""
        rest = self._put(data)
        while rest:
            await self.waiters.suspend(self._movable)
            rest = self._put(rest)

    def end(self) -> None:
        """Say that the body is complete."""
        with self.lock:
            if self.failure is not None or self.stream.ended:
                return
            self.stream.end()
        self.flush()

    def _put(self, data: bytes | memoryview) -> bytes | memoryview:
        """Hand over as much as credit allows; return the rest, which is no copy."""
        with self.lock:
            self.check()
            if self.stream.ended:
                raise StreamClosed("write after end")
            accepted = self.stream.write(data)
            if accepted < len(data) and self.phase is Phase.UNREACHABLE:
                self._refuse_large_body()
            pump = self._take_idle_pump() if accepted else None
        if pump is not None:
            io_thread().submit(pump.flush)
        return b"" if accepted == len(data) else memoryview(data)[accepted:]

    def _movable(self) -> bool:
        return self.stream.room > 0 or self.over

    def check(self) -> None:
        """Raise why nobody takes the response any more, if so. The lock is held."""
        if self.failure is not None:
            raise self.failure
        if self.phase is Phase.SETTLED:
            raise StreamClosed("the response is over")

    def _refuse_large_body(self) -> None:
        self.failure = GatewayUnreachable(
            f"{self.dial_failure}; and without it a function cannot return a body of more than"
            f" {RECEIPT_BODY_MAX} bytes"
        )
        raise self.failure

    def _take_idle_pump(self) -> Pump | None:
        """Return the pump if it must be woken; a busy one will look by itself."""
        pump = self._pump if self._pump_idle else None
        self._pump_idle = False
        return pump

    # ------------------------------------------------------------ stopping user code

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Name what stops the asynchronous user code now running."""
        with self.lock:
            self._stop = stop
            if isinstance(self.failure, ClientGone | DeadlineReached):
                self._stop_user()

    def _stop_user(self) -> None:
        if self._stop is not None:
            self._stop()

    # ------------------------------------------------------------ for the I/O thread, lock held

    def attach(self, sid: int) -> Attach | None:
        """Return the ATTACH for a new connection; None if none is needed any more."""
        if self.phase is not Phase.DIALLING:
            return None
        self.phase = Phase.ATTACHED
        self.sid = sid
        return self.stream.attach(sid)

    def frames_to_send(self, now: float, *, paused: bool) -> list[Frame]:
        """Return what waits; the next write wakes the I/O thread again.

        While the transport is full only a RESET leaves: other bytes wait, and are joined, here.
        """
        self._pump_idle = not paused
        if paused and not self._urgent:
            return []
        frames = self.stream.frames_to_send(now)
        if self.stream.end_sent:
            self.waiters.notify()
        return frames

    @property
    def stream_over(self) -> bool:
        """Whether the stream needs its connection no more."""
        return self.stream.state is FunctionState.DONE or self.stream.rejected is not None

    def receive(self, frame: StreamFrame, now: float) -> bool:
        """Take a frame of the gateway; tell whether it asks user code to stop.

        Raises:
            ProtocolError: the gateway broke a rule.
        """
        self.stream.receive(frame, now)
        if isinstance(frame, Cancel) and self.stream.cancelled is frame:
            self._close(ClientGone(frame.code, frame.message))
        elif isinstance(frame, Reject):
            self._close(refusal(frame))
        self.waiters.notify()
        return self.stream.cancelled is frame

    # ------------------------------------------------------------ for the I/O thread

    @property
    def dialling(self) -> bool:
        """Whether a connection is still wanted."""
        return self.phase is Phase.DIALLING

    def redial(self) -> None:
        """The parked connection was gone already: begin as if there had been none."""
        with self.lock:
            self.stream.detach()
            if self.phase is Phase.ATTACHED:
                self.phase = Phase.DIALLING

    def unreachable(self, reason: str) -> None:
        """The gateway could not be dialled: keep the body for the receipt."""
        logger.warning("%s; the response returns with the invocation instead", reason)
        with self.lock:
            if self.phase is Phase.DIALLING:
                self.phase = Phase.UNREACHABLE
                self.dial_failure = reason
                self.stream.buffer_for_receipt()
                self.waiters.notify()

    def failed(self, reason: str) -> None:
        """What the gateway sent made the exchange worthless."""
        with self.lock:
            self._close(StreamLost(reason))

    def out_of_time(self) -> None:
        """Lambda is about to end the function: break the response off while there is time."""
        with self.lock:
            self._close(DeadlineReached("the function's own deadline is near"))
            self._break_off(ResetCode.DEADLINE, "the function's own deadline is near")
            if self.phase is not Phase.ATTACHED:
                self.phase = Phase.SETTLED
                self.waiters.notify()

    def abandon_user(self) -> None:
        """Answer the CANCEL, although user code still runs."""
        with self.lock:
            self._break_off(ResetCode.CANCELLED, "the handler did not stop in time")

    def lost(self, reason: str) -> None:
        """The connection broke."""
        with self.lock:
            self.stream.detach()
            self._close(StreamLost(f"the connection to the gateway was lost: {reason}"))
            self.phase = Phase.SETTLED
            self.waiters.notify()

    def settle(self) -> None:
        """The stream is over on its connection, for better or worse."""
        with self.lock:
            self.phase = Phase.SETTLED
            self.waiters.notify()

    def _close(self, failure: StreamClosed) -> None:
        if self.failure is None and not self.stream.end_acknowledged:
            self.failure = failure
            if isinstance(failure, ClientGone | DeadlineReached):
                self._stop_user()
        self.waiters.notify()

    # ------------------------------------------------------------ endings, from user code

    def explains(self, error: BaseException) -> bool:
        """Whether an error in user code only says that nobody takes the response any more."""
        return self.failure is not None and (
            isinstance(error, StreamClosed) or type(error).__name__ == "CancelledError"
        )

    def finish(self) -> dict[str, Any]:
        """Deliver the whole response; return the receipt.

        Raises:
            StreamClosed: it could not be delivered, and the invocation should be seen to fail.
        """
        with self.lock:
            if self.failure is None and not self.stream.ended:
                self.stream.end()
            inline = self._inline_answer()
        if inline is not None:
            return inline
        if self.failure is None:
            self.open()
            self.flush()
            with self.lock:
                self.waiters.wait(lambda: self.stream.end_sent or self.over)
                self.waiters.wait(lambda: self.over, END_ACK_SECONDS)
        if isinstance(self.failure, ClientGone):
            self._reset(ResetCode.CANCELLED, "user code has stopped")
        self._let_go()
        report(self.failure)
        with self.lock:  # a connection that was let go may still hear of bytes
            receipt = self.stream.receipt(self.dial_failure)
        return receipt.to_json()

    def _inline_answer(self) -> dict[str, Any] | None:
        if self.failure is not None or self.phase not in (Phase.IDLE, Phase.DIALLING):
            return None
        receipt = self.stream.inline_answer()
        if receipt is None:
            return None
        self.phase = Phase.SETTLED
        return receipt.to_json()

    def fail(self, error: BaseException) -> None:
        """Break the response off, because user code raised; waits until the gateway was told."""
        cancelled = isinstance(self.failure, ClientGone)
        code = ResetCode.CANCELLED if cancelled else ResetCode.HANDLER_ERROR
        self._reset(code, type(error).__name__)
        self._let_go()

    def _reset(self, code: ResetCode, message: str) -> None:
        with self.lock:
            self._break_off(code, message)
            self._pump_idle = self._pump is not None  # whatever it does, it must look again
        self.flush()

    def _break_off(self, code: ResetCode, message: str) -> None:
        self.stream.reset(code, message)
        self._urgent = True

    def _let_go(self) -> None:
        """Leave nothing behind: no dialling, no timer, no connection that carries this stream."""
        with self.lock:
            self.waiters.wait(lambda: self.phase is not Phase.ATTACHED, RESET_SECONDS)
            unsettled = self.phase not in (Phase.IDLE, Phase.SETTLED)
            self.phase = Phase.SETTLED
        if unsettled:
            io_thread().submit(self._abandon)

    def _abandon(self) -> None:
        """On the I/O thread, and so after whatever `open` began there."""
        if self._pump is not None:
            self._pump.abandon()

    @property
    def settled(self) -> bool:
        """Whether no connection carries the stream, or will."""
        return self.phase in (Phase.UNREACHABLE, Phase.SETTLED)

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.failure is not None or self.settled
